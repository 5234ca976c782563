// The drawings of the corpus.

import type { Plot } from "../../charts/Chart.svelte";
import { colourOf, HATCHED } from "../../design/colours.ts";
import { timeOf } from "../../ui/words.ts";

export interface Balance {
  expression: string;
  human: number;
  imported: number;
  simulated: number;
  pseudo: number;
  total: number;
}

/** Whose word labels are, in steps of one indigo; what only the model says is hatched and outlined. */
export const ORIGINS = [
  { key: "human", name: "people", colour: "var(--human)" },
  { key: "imported", name: "import", colour: "var(--import)" },
  { key: "simulated", name: "simulated", colour: "var(--ink3)" },
  { key: "pseudo", name: "pseudo", colour: "var(--pseudo)" },
] as const;

export function balance(
  plot: Plot,
  width: number,
  height: number,
  rows: readonly Balance[],
  classes: readonly string[],
) {
  const parts = rows.flatMap((row) => {
    let at = 0;
    return ORIGINS.map(({ key, colour }) => {
      const isPseudo = key === "pseudo";
      const [from, to] = [at, at + row[key]];
      at = to;
      return { expression: row.expression, from, to, colour: isPseudo ? HATCHED.pseudo : colour, isPseudo };
    }).filter((part) => part.to > part.from);
  });
  const domain = classes.filter((name) => rows.some((row) => row.expression === name));
  return plot.plot({
    width,
    height,
    marginLeft: 74,
    marginRight: 44,
    marginTop: 6,
    marginBottom: 24,
    x: { label: null, ticks: 4, tickSize: 0 },
    y: { label: null, domain, tickSize: 0, padding: 0.34 },
    marks: [
      plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
      plot.barX(parts, { y: "expression", x1: "from", x2: "to", fill: "colour" }),
      plot.barX(
        parts.filter((part) => part.isPseudo),
        { y: "expression", x1: "from", x2: "to", fill: "none", stroke: "var(--import)", strokeWidth: 1.5, inset: 0.75 },
      ),
      plot.text(rows, { y: "expression", x: "total", text: "total", dx: 6, textAnchor: "start", fill: "var(--ink)" }),
    ],
  });
}

export interface Growth {
  round: number;
  finished_at: string;
  labelled: number;
  subset_one: number;
  subset_two: number;
}

export function growth(plot: Plot, width: number, height: number, rows: readonly Growth[]) {
  const [alone] = rows;
  if (alone && rows.length === 1) return growthOfOne(plot, width, height, alone);
  const last = rows.at(-1);
  const layers = rows.map((row) => ({
    at: timeOf(row.finished_at),
    a: row.labelled,
    b: row.labelled + row.subset_one,
    c: row.labelled + row.subset_one + row.subset_two,
  }));
  const ends = last
    ? [
        { y: last.labelled / 2, name: "labelled" },
        { y: last.labelled + last.subset_one / 2, name: "over the margin" },
        { y: last.labelled + last.subset_one + last.subset_two / 2, name: "below it" },
      ]
    : [];
  return plot.plot({
    width,
    height,
    marginLeft: 48,
    marginRight: 96,
    marginTop: 8,
    marginBottom: 24,
    x: { label: null, tickSize: 0, ticks: 5, type: "time" },
    y: { label: null, ticks: 4, tickSize: 0, zero: true },
    marks: [
      plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
      plot.areaY(layers, { x: "at", y1: "b", y2: "c", fill: HATCHED.two }),
      plot.areaY(layers, { x: "at", y1: "a", y2: "b", fill: "var(--import)" }),
      plot.areaY(layers, { x: "at", y1: 0, y2: "a", fill: "var(--human)" }),
      // Where the rounds ended: between them the areas only connect.
      plot.dot(layers, { x: "at", y: "c", r: 2.5, fill: "var(--one)" }),
      plot.text(ends, {
        x: () => layers.at(-1)?.at,
        y: "y",
        text: "name",
        dx: 8,
        textAnchor: "start",
        fill: "var(--ink2)",
      }),
    ],
  });
}

/** One round is no growth: what it had, as bars. */
function growthOfOne(plot: Plot, width: number, height: number, row: Growth) {
  const bars = [
    { name: "labelled", n: row.labelled, fill: "var(--human)" },
    { name: "over the margin", n: row.subset_one, fill: "var(--import)" },
    { name: "below it", n: row.subset_two, fill: HATCHED.two },
  ];
  return plot.plot({
    width,
    height,
    marginLeft: 100,
    marginRight: 48,
    marginTop: 8,
    marginBottom: 24,
    x: { label: null, ticks: 4, tickSize: 0, zero: true },
    y: { label: null, domain: bars.map(({ name }) => name), tickSize: 0, padding: 0.5 },
    marks: [
      plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
      plot.barX(bars, { y: "name", x1: 0, x2: "n", fill: "fill" }),
      plot.text(bars, { y: "name", x: "n", text: "n", dx: 6, textAnchor: "start", fill: "var(--ink)" }),
    ],
  });
}

export interface Calibration {
  low: number;
  faces: number;
  confidence: number;
  accuracy: number;
}

export function calibration(plot: Plot, width: number, height: number, rows: readonly Calibration[]) {
  const most = Math.max(...rows.map((row) => row.faces));
  return plot.plot({
    width,
    height,
    marginLeft: 40,
    marginRight: 24,
    marginTop: 12,
    marginBottom: 36,
    x: { label: "confidence", labelArrow: "none", labelAnchor: "center", domain: [0, 1], ticks: 5, tickSize: 0 },
    y: { label: null, domain: [0, 1], ticks: 5, tickSize: 0 },
    r: { domain: [0, most], range: [2, 9] },
    marks: [
      plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 5 }),
      plot.line(
        [
          [0, 0],
          [1, 1],
        ],
        { stroke: "var(--ink)", strokeWidth: 1.5, strokeDasharray: "1.5 3", strokeLinecap: "round" },
      ),
      plot.line(rows, { x: "confidence", y: "accuracy", stroke: "var(--one)", strokeWidth: 2 }),
      plot.dot(rows, { x: "confidence", y: "accuracy", r: "faces", fill: "var(--one)", stroke: "var(--paper)" }),
    ],
  });
}

export interface Drift {
  round: number;
  expression: string;
  mean_confidence: number | null;
}

export function drift(plot: Plot, width: number, height: number, rows: readonly Drift[]) {
  const known = rows.filter((row) => row.mean_confidence !== null);
  const values = known.map((row) => row.mean_confidence ?? 0);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const last = Math.max(...known.map((row) => row.round));
  const least_gap = ((most - least + 0.04) * 13) / (height - 36);
  const ends = known
    .filter((row) => row.round === last)
    .map((row) => ({ y: row.mean_confidence ?? 0, name: row.expression }))
    .sort((a, b) => a.y - b.y);
  for (let i = 1; i < ends.length; i += 1) {
    const [below, above] = [ends[i - 1], ends[i]];
    if (below && above && above.y - below.y < least_gap) above.y = below.y + least_gap;
  }
  return plot.plot({
    width,
    height,
    marginLeft: 40,
    marginRight: 84,
    marginTop: 12,
    marginBottom: 24,
    x: {
      label: null,
      tickSize: 0,
      ticks: last > 12 ? 8 : [...new Set(known.map((row) => row.round))],
      tickFormat: "d",
    },
    y: { label: null, ticks: 4, tickSize: 0, domain: [least - 0.02, Math.max(most + 0.02, ends.at(-1)?.y ?? 0)] },
    marks: [
      plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
      plot.lineY(known, {
        x: "round",
        y: "mean_confidence",
        z: "expression",
        stroke: (row: Drift) => colourOf(row.expression),
        strokeWidth: 2,
      }),
      plot.dot(
        known.filter((row) => row.round === last),
        { x: "round", y: "mean_confidence", r: 3, fill: (row: Drift) => colourOf(row.expression) },
      ),
      plot.text(ends, { x: () => last, y: "y", text: "name", dx: 8, textAnchor: "start", fill: "var(--ink2)" }),
    ],
  });
}

export interface Hard {
  expression: string;
  checked: number;
  correct: number;
  recall: number;
  low: number;
  high: number;
  mistaken_for: string | null;
}

export function hardest(plot: Plot, width: number, height: number, rows: readonly Hard[]) {
  const shown = rows.map((row) => ({
    ...row,
    colour: colourOf(row.expression),
    words: row.mistaken_for ? `for ${row.mistaken_for}` : "",
  }));
  return plot.plot({
    width,
    height,
    marginLeft: 74,
    marginRight: 84,
    marginTop: 6,
    marginBottom: 24,
    x: { label: null, domain: [0, 1], ticks: 4, tickSize: 0 },
    y: { label: null, domain: shown.map((row) => row.expression), tickSize: 0 },
    marks: [
      plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: 4 }),
      plot.ruleY(shown, { y: "expression", x1: "low", x2: "high", stroke: "colour", strokeWidth: 3 }),
      plot.dot(shown, { y: "expression", x: "recall", r: 5, fill: "var(--paper)", stroke: "colour", strokeWidth: 2.5 }),
      plot.text(shown, {
        y: "expression",
        frameAnchor: "right",
        dx: 10,
        textAnchor: "start",
        text: "words",
        fill: "var(--ink2)",
      }),
    ],
  });
}
