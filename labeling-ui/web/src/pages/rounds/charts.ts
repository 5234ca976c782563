// The drawings of a round. Colours are tokens, so that they follow the theme without being drawn anew.

import type { Plot } from "../../charts/Chart.svelte";
import { HATCHED } from "../../design/colours.ts";
import type { Audit, Epoch } from "./round.svelte.ts";

/** Terms of the loss: as an epoch's row has them, as a step's event has them, as they are shown. */
export const LOSSES = [
  { key: "loss_supervised", term: "supervised", name: "labelled", colour: "var(--human)" },
  { key: "loss_unlabelled", term: "unlabelled", name: "unlabelled", colour: "var(--import)" },
  { key: "loss_contrastive", term: "contrastive", name: "contrastive", colour: "var(--ink3)" },
] as const;

/** Labels at the ends of lines, moved apart so that none covers another. */
function apart<T extends { y: number }>(labels: T[], least: number): T[] {
  const sorted = [...labels].sort((a, b) => a.y - b.y);
  for (let i = 1; i < sorted.length; i += 1) {
    const [below, above] = [sorted[i - 1], sorted[i]];
    if (below && above && above.y - below.y < least) above.y = below.y + least;
  }
  return sorted;
}

export function losses(plot: Plot, width: number, height: number, epochs: readonly Epoch[], other: readonly Epoch[]) {
  const [alone] = epochs;
  if (alone && epochs.length === 1) return lossesOfOne(plot, width, height, alone, other.at(-1));
  const lines = LOSSES.flatMap(({ key, name, colour }) =>
    epochs.map((row) => ({ x: row.epoch, y: row[key], name, colour })),
  );
  const faint = LOSSES.flatMap(({ key, name, colour }) =>
    other.map((row) => ({ x: row.epoch, y: row[key], name, colour })),
  );
  const most = Math.max(0.1, ...[...lines, ...faint].map((row) => row.y));
  const last = epochs.at(-1);
  const ends = last
    ? apart(
        LOSSES.map(({ key, name }) => ({ x: last.epoch, y: last[key], name })),
        (most * 14) / (height - 40),
      )
    : [];
  return plot.plot({
    width,
    height,
    marginLeft: 34,
    marginRight: 84,
    marginBottom: 24,
    x: { label: null, tickSize: 0, ticks: ticks(epochs), tickFormat: "d" },
    y: { label: null, domain: [0, most * 1.05], ticks: 4, tickSize: 0 },
    marks: [
      plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
      plot.lineY(faint, { x: "x", y: "y", z: "name", stroke: "colour", strokeWidth: 1, strokeDasharray: "2 3" }),
      plot.lineY(lines, { x: "x", y: "y", z: "name", stroke: "colour", strokeWidth: 2 }),
      plot.dot(
        lines.filter((row) => row.x === last?.epoch),
        { x: "x", y: "y", fill: "colour", r: 3 },
      ),
      plot.text(ends, { x: "x", y: "y", text: "name", dx: 8, textAnchor: "start", fill: "var(--ink2)" }),
    ],
  });
}

/** One epoch is no line: its losses as bars, those of another round's last epoch as rings. */
function lossesOfOne(plot: Plot, width: number, height: number, epoch: Epoch, other: Epoch | undefined) {
  const bars = LOSSES.map(({ key, name, colour }) => ({ name, colour, x: epoch[key], words: epoch[key].toFixed(2) }));
  const rings = other ? LOSSES.map(({ key, name }) => ({ name, x: other[key] })) : [];
  return plot.plot({
    width,
    height,
    marginLeft: 74,
    marginRight: 44,
    marginTop: 6,
    marginBottom: 24,
    x: { label: null, ticks: 4, tickSize: 0, zero: true },
    y: { label: null, domain: LOSSES.map(({ name }) => name), tickSize: 0, padding: 0.5 },
    marks: [
      plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
      plot.barX(bars, { y: "name", x1: 0, x2: "x", fill: "colour" }),
      plot.dot(rings, { y: "name", x: "x", r: 4, fill: "var(--paper)", stroke: "var(--ink)", strokeWidth: 1.5 }),
      plot.text(bars, { y: "name", x: "x", text: "words", dx: 6, textAnchor: "start", fill: "var(--ink)" }),
    ],
  });
}

/** A term of the loss in a step, `at` so many epochs. */
export interface Step {
  at: number;
  term: string;
  value: number;
}

/** Losses of a round under way, step by step. */
export function steps(plot: Plot, width: number, height: number, rows: readonly Step[]) {
  const lines = LOSSES.flatMap(({ term, name, colour }) =>
    rows.filter((row) => row.term === term).map((row) => ({ ...row, name, colour })),
  );
  const most = Math.max(0.1, ...lines.map((row) => row.value));
  const last = LOSSES.flatMap(({ term, name }) => {
    const row = rows.findLast((row) => row.term === term);
    return row ? [{ x: row.at, y: row.value, name }] : [];
  });
  return plot.plot({
    width,
    height,
    marginLeft: 34,
    marginRight: 84,
    marginBottom: 24,
    x: { label: null, tickSize: 0, ticks: 8 },
    y: { label: null, domain: [0, most * 1.05], ticks: 4, tickSize: 0 },
    marks: [
      plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
      plot.lineY(lines, { x: "at", y: "value", z: "term", stroke: "colour", strokeWidth: 1.5 }),
      plot.text(apart(last, (most * 14) / (height - 40)), {
        x: "x",
        y: "y",
        text: "name",
        dx: 8,
        textAnchor: "start",
        fill: "var(--ink2)",
      }),
    ],
  });
}

export function share(plot: Plot, width: number, height: number, epochs: readonly Epoch[]) {
  const [alone] = epochs;
  if (alone && epochs.length === 1) return shareOfOne(plot, width, height, alone);
  const rows = epochs.map(({ epoch, subset_one, subset_two }) => ({
    epoch,
    one: subset_one / Math.max(1, subset_one + subset_two),
  }));
  const last = rows.at(-1);
  const labels = last
    ? [
        { epoch: last.epoch, y: last.one / 2, name: "Subset I" },
        { epoch: last.epoch, y: (1 + last.one) / 2, name: "Subset II" },
      ]
    : [];
  return plot.plot({
    width,
    height,
    marginLeft: 40,
    marginRight: 64,
    marginBottom: 24,
    x: { label: null, tickSize: 0, ticks: ticks(epochs), tickFormat: "d" },
    y: { label: null, domain: [0, 1], ticks: 5, tickSize: 0, tickFormat: "%" },
    marks: [
      plot.areaY(rows, { x: "epoch", y1: "one", y2: 1, fill: HATCHED.two }),
      plot.areaY(rows, { x: "epoch", y1: 0, y2: "one", fill: "var(--one)" }),
      plot.lineY(rows, { x: "epoch", y: "one", stroke: "var(--one)", strokeWidth: 2 }),
      plot.text(labels, { x: "epoch", y: "y", text: "name", dx: 8, textAnchor: "start", fill: "var(--ink2)" }),
    ],
  });
}

/** Both shares of one epoch as one bar. */
function shareOfOne(plot: Plot, width: number, height: number, epoch: Epoch) {
  const one = epoch.subset_one / Math.max(1, epoch.subset_one + epoch.subset_two);
  const parts = [
    { from: 0, to: one, fill: "var(--one)" },
    { from: one, to: 1, fill: HATCHED.two },
  ];
  // At the outer ends, so that neither covers the other however small its part is.
  const said = (words: string, share: number, frameAnchor: "top-left" | "top-right") =>
    plot.text([`${words}, ${(100 * share).toFixed(0)} %`], { frameAnchor, dy: -20, fill: "var(--ink2)" });
  return plot.plot({
    width,
    height,
    marginLeft: 8,
    marginRight: 16,
    marginTop: 40,
    marginBottom: 24,
    x: { label: null, domain: [0, 1], ticks: 5, tickSize: 0, tickFormat: "%" },
    y: { axis: null, padding: 0.35 },
    marks: [
      plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: 5 }),
      plot.barX(parts, { y: () => "", x1: "from", x2: "to", fill: "fill", stroke: "var(--one)" }),
      said("Subset I", one, "top-left"),
      said("Subset II", 1 - one, "top-right"),
    ],
  });
}

export function precision(
  plot: Plot,
  width: number,
  height: number,
  rows: readonly Audit[],
  classes: readonly string[],
  target: number,
  colour: (name: string) => string,
) {
  const shown = rows.filter((row) => row.audited > 0).map((row) => ({ ...row, colour: colour(row.expression) }));
  const least = Math.max(0, Math.floor(10 * Math.min(target, ...shown.map((row) => row.low))) / 10);
  return plot.plot({
    width,
    height,
    marginLeft: 74,
    marginRight: 48,
    marginTop: 22,
    marginBottom: 24,
    x: { label: null, domain: [least, 1], ticks: 4, tickSize: 0, tickFormat: ".2f" },
    y: { label: null, domain: classes.filter((name) => shown.some((row) => row.expression === name)), tickSize: 0 },
    marks: [
      plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
      plot.ruleX([target], { stroke: "var(--ink)", strokeWidth: 2 }),
      plot.text([target], {
        x: (d: number) => d,
        frameAnchor: "top",
        dy: -16,
        text: () => `target ${target.toFixed(2)}`,
        fill: "var(--ink)",
        fontWeight: 640,
      }),
      plot.ruleY(shown, { y: "expression", x1: "low", x2: "high", stroke: "colour", strokeWidth: 3 }),
      plot.dot(shown, {
        y: "expression",
        x: "precision",
        r: 5,
        fill: "var(--paper)",
        stroke: "colour",
        strokeWidth: 2.5,
      }),
      plot.text(shown, {
        y: "expression",
        frameAnchor: "right",
        dx: 40,
        textAnchor: "end",
        text: (row: Audit) => `n ${row.audited}`,
        fill: "var(--ink2)",
      }),
    ],
  });
}

export interface Validated {
  round: number;
  accepted: boolean;
  validation_macro_f1: number;
  validation_accuracy: number;
  low: number;
  high: number;
  faces: number;
}

export function validation(plot: Plot, width: number, height: number, rows: readonly Validated[], round: number) {
  const values = rows.flatMap((row) => [row.low, row.high, row.validation_macro_f1]);
  const accepted = rows.filter((row) => row.accepted);
  const last = rows.at(-1);
  return plot.plot({
    width,
    height,
    marginLeft: 40,
    marginRight: 70,
    marginBottom: 24,
    marginTop: 12,
    x: {
      label: null,
      tickSize: 0,
      ticks: rows.length > 12 ? 8 : rows.map((row) => row.round),
      tickFormat: "d",
      inset: 12,
    },
    y: {
      label: null,
      domain: [Math.max(0, Math.min(...values) - 0.03), Math.min(1, Math.max(...values) + 0.03)],
      ticks: 4,
      tickSize: 0,
      tickFormat: ".2f",
    },
    marks: [
      plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
      plot.ruleX(rows, { x: "round", y1: "low", y2: "high", stroke: "var(--import)", strokeWidth: 3 }),
      plot.dot(rows, {
        x: "round",
        y: "validation_accuracy",
        r: 4,
        fill: "var(--paper)",
        stroke: "var(--import)",
        strokeWidth: 2,
      }),
      plot.lineY(accepted, { x: "round", y: "validation_macro_f1", stroke: "var(--human)", strokeWidth: 2 }),
      plot.dot(rows, {
        x: "round",
        y: "validation_macro_f1",
        r: (row: Validated) => (row.round === round ? 5 : 3),
        fill: (row: Validated) => (row.accepted ? "var(--human)" : "var(--paper)"),
        stroke: (row: Validated) => (row.accepted ? "var(--human)" : "var(--bad)"),
        strokeWidth: 2,
      }),
      ...(last
        ? [
            plot.text(
              apart(
                [
                  { y: last.validation_accuracy, name: "accuracy" },
                  { y: last.validation_macro_f1, name: "macro-F1" },
                ],
                ((Math.max(...values) - Math.min(...values) + 0.06) * 14) / (height - 36),
              ),
              { x: last.round, y: "y", text: "name", dx: 10, textAnchor: "start", fill: "var(--ink2)" },
            ),
          ]
        : []),
    ],
  });
}

export interface Flow {
  expression: string;
  came_in: number;
  fell_out: number;
}

export function flow(plot: Plot, width: number, height: number, rows: readonly Flow[], classes: readonly string[]) {
  const most = Math.max(1, ...rows.flatMap((row) => [row.came_in, row.fell_out]));
  return plot.plot({
    width,
    height,
    marginLeft: 74,
    marginRight: 24,
    marginTop: 22,
    marginBottom: 24,
    x: {
      label: null,
      domain: [-most, most],
      ticks: 4,
      tickSize: 0,
      tickFormat: (value: number) => String(Math.abs(value)),
    },
    y: {
      label: null,
      domain: classes.filter((name) => rows.some((row) => row.expression === name)),
      tickSize: 0,
      padding: 0.35,
    },
    marks: [
      plot.barX(rows, { y: "expression", x1: 0, x2: "came_in", fill: "var(--one)" }),
      plot.barX(rows, {
        y: "expression",
        x1: (row: Flow) => -row.fell_out,
        x2: 0,
        fill: HATCHED.two,
        stroke: "var(--one)",
      }),
      plot.ruleX([0], { stroke: "var(--ink)", strokeWidth: 1 }),
      plot.text([most], {
        x: (value: number) => value,
        frameAnchor: "top",
        dy: -16,
        textAnchor: "end",
        text: () => "came over the margin",
        fill: "var(--ink2)",
      }),
      plot.text([-most], {
        x: (value: number) => value,
        frameAnchor: "top",
        dy: -16,
        textAnchor: "start",
        text: () => "fell below it",
        fill: "var(--ink2)",
      }),
    ],
  });
}

function ticks(epochs: readonly Epoch[]): number[] {
  const every = Math.ceil(epochs.length / 10);
  return epochs.map((row) => row.epoch).filter((epoch) => (epoch - 1) % every === 0);
}
