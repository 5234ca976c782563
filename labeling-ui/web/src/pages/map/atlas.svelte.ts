// The map of one round: its points, what they are coloured by, which are hidden, and which are chosen.

import { map as ask, sql } from "../../api/calls.ts";
import { isAbort, reasonOf } from "../../api/http.ts";
import type { FaceMap } from "../../api/types.ts";
import { session } from "../../shell/session.svelte.ts";
import { MAPS, JUDGED_BLIND } from "../../sql/texts.ts";
import { tabled } from "./count.ts";
import { grouped, type By } from "./groups.ts";
import { Nearest } from "./nearest.ts";
import { boxOf } from "./view.ts";

const EMPTY: FaceMap = {
  round: null,
  face_id: [],
  x: [],
  y: [],
  predicted: [],
  subset: [],
  confidence: [],
  label: [],
  origin: [],
};

export class Atlas {
  rounds = $state.raw<{ round: number; faces: number }[]>([]);
  map = $state.raw<FaceMap>(EMPTY);
  isRead = $state(false);
  trouble = $state<string | null>(null);
  by = $state<By>("class");
  /** Groups that are not shown, by their keys. */
  hidden = $state.raw<ReadonlySet<string>>(new Set());
  /** Points that were chosen, and the loop that was drawn around them, if they were chosen so. */
  chosen = $state.raw<readonly number[]>([]);
  loop = $state.raw<readonly [number, number][]>([]);
  /** Faces that people judge blindly in this round. */
  blind = $state.raw<ReadonlySet<string>>(new Set());

  xs = $derived(Float32Array.from(this.map.x));
  ys = $derived(Float32Array.from(this.map.y));
  box = $derived(boxOf(this.xs, this.ys));
  nearest = $derived(new Nearest(this.xs, this.ys, this.box));
  grouping = $derived(grouped(this.map, this.by, session.classes, this.blind));
  lines = $derived(tabled(this.map, session.classes, this.blind));
  size = $derived(this.map.face_id.length);

  async load(round: number | null, signal: AbortSignal): Promise<void> {
    try {
      const [map, blind] = await Promise.all([
        ask(round, signal),
        // A server that does not know keeps nothing back either.
        sql<{ face_id: string }>(JUDGED_BLIND, {}, signal).catch(() => ({ rows: [] })),
      ]);
      this.blind = new Set(blind.rows.map((row) => row.face_id));
      this.map = map;
      this.trouble = null;
    } catch (error) {
      if (isAbort(error)) return;
      this.map = EMPTY;
      this.trouble = reasonOf(error);
    }
    this.choose([]);
    this.isRead = true;
  }

  async list(): Promise<void> {
    this.rounds = (await sql<{ round: number; faces: number }>(MAPS)).rows;
  }

  /** Chooses points; `loop` is what was drawn around them, in units of the map. */
  choose(points: readonly number[], loop: readonly [number, number][] = []): void {
    this.chosen = points;
    this.loop = loop;
  }

  /** Whether a point is drawn. */
  isShown(point: number): boolean {
    const group = this.grouping.groups[this.grouping.of[point] ?? 0];
    return group === undefined || !this.hidden.has(group.key);
  }

  toggle(key: string): void {
    const hidden = new Set(this.hidden);
    if (!hidden.delete(key)) hidden.add(key);
    this.hidden = hidden;
  }

  /** Shows one group alone, or all again. */
  only(key: string): void {
    const others = this.grouping.groups.map((group) => group.key).filter((other) => other !== key);
    const isAlone = !this.hidden.has(key) && others.every((other) => this.hidden.has(other));
    this.hidden = new Set(isAlone ? [] : others);
  }

  colour(by: By): void {
    this.by = by;
    this.hidden = new Set();
  }

  idOf(point: number): string {
    return this.map.face_id[point] ?? "";
  }

  isBlind(point: number): boolean {
    return this.blind.has(this.idOf(point));
  }
}
