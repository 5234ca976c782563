// Faces of one class that are confirmed together: those that have been in view, each kept, left out, or given another
// class.

import { releaseLeases, sql, takeLeases } from "../../api/calls.ts";
import { reasonOf } from "../../api/http.ts";
import type { Judgement } from "../../api/types.ts";
import { counts } from "../../outbox/act.ts";
import { outbox } from "../../outbox/outbox.svelte.ts";
import { Hold } from "../../queue/hold.ts";
import { session } from "../../shell/session.svelte.ts";
import {
  facesLike,
  facesOfClass,
  NEAR_DUPLICATES,
  UNLABELLED_BY_CLASS,
  type Order,
  type Side,
} from "../../sql/texts.ts";
import { readFaces } from "./chosen.ts";
import { fold, groups, type Folded } from "./fold.ts";

export interface Face {
  face_id: string;
  /** What the model reads and how sure it is; null where no round scored the face. */
  expression: string | null;
  confidence: number | null;
  margin: number | null;
  round: number | null;
  /** Its label, of faces that were chosen elsewhere: others have none. */
  label?: string | null;
  origin?: string | null;
}

export type Cell = Folded<Face>;
type Counts = Record<string, { over: number; under: number }>;

/** A cell's face and those that it stands for. */
function facesOf({ face, others }: Cell): Face[] {
  return [face, ...others];
}

function mayJudge(): boolean {
  return session.annotator !== "" && session.mayJudge;
}

/** Faces read at once; far more than anybody looks through in one go. */
const READ = 20_000;
const LIKE = 200;
/** Faces that one request stores, so that one undo takes them back. */
const TOGETHER = 1000;

export class Batch {
  expression = $state("");
  side = $state<Side>("over");
  order = $state<Order>("margin");
  like = $state<string | null>(null);
  /** Faces that another page chose, instead of those of a class. */
  chosen = $state.raw<readonly string[] | null>(null);
  counts = $state.raw<Counts>({});
  isRead = $state(false);
  trouble = $state<string | null>(null);
  /** Place of the cell in focus, among all. */
  focus = $state(0);
  /** Where a range begins. */
  anchor = $state<number | null>(null);
  private read = $state.raw<Cell[]>([]);
  /** Left out, for as long as the page is open: they do not come again in the next batch. */
  private passed = $state.raw<ReadonlySet<string>>(new Set());
  left = $state.raw<ReadonlySet<string>>(new Set());
  /** Faces that were given another class. */
  moved = $state.raw<ReadonlyMap<string, string>>(new Map());
  /** Judged here. A list that was chosen has labelled faces too: of that, what was said since it was read is done. */
  private judged = $derived(
    new Set(
      outbox.acts
        .filter((act) => counts(act) && (this.chosen === null || act.at >= this.readAt))
        .flatMap((act) => act.judgements.map((judgement) => judgement.face_id)),
    ),
  );
  private readAt = $state(0);
  /** Faces that others have or have judged, with when that was heard: what is read later knows of the judgements. */
  private elsewhere = $state.raw<ReadonlyMap<string, number>>(new Map());
  private undone = $derived(
    this.read.filter(({ face }) => !this.judged.has(face.face_id) && !this.passed.has(face.face_id)),
  );
  /** All that are left to confirm, in their order. */
  all = $derived(this.undone.filter((cell) => !this.isElsewhere(cell)));
  /** Cells that are not here because others have them. */
  withOthers = $derived(this.undone.length - this.all.length);
  /** Whether there are more of them than were read. */
  isCut = $state(false);
  /** Faces that have been in view. `looks` changes with it: it is too large to be copied at each step of scrolling. */
  private seen = new Set<string>();
  private looks = $state(0);
  /** Cells that Enter takes: nothing is confirmed unseen. */
  cells = $derived.by(() => {
    void this.looks;
    let faces = 0;
    return this.all.filter(
      ({ face, others }) => this.seen.has(face.face_id) && (faces += 1 + others.length) <= TOGETHER,
    );
  });
  /** Changes with each list and each Enter, after which one begins at the top again. */
  turn = $state(0);
  private hold = new Hold({
    take: async (ids) => (mayJudge() ? (await takeLeases(session.annotator, ids)).lost : []),
    putBack: (ids) => (mayJudge() ? releaseLeases(session.annotator, ids) : Promise.resolve()),
    lost: (ids) => this.goneTo(ids),
  });
  private asked = 0;
  private group: ((id: string) => string) | null = null;

  /** Cells that Enter confirms, and the faces they stand for. */
  kept = $derived(this.cells.filter(({ face }) => !this.left.has(face.face_id)));
  confirmed = $derived(
    this.kept
      .filter(({ face }) => !this.moved.has(face.face_id))
      .reduce((sum, cell) => sum + 1 + cell.others.length, 0),
  );
  leftOut = $derived(this.cells.length - this.kept.length);

  /** Takes what is in view into this person's hands; called whenever that has changed. */
  take(): void {
    const ids = this.cells.flatMap(facesOf).map(({ face_id }) => face_id);
    this.hold.keep(ids, (id) => this.judged.has(id));
  }

  /** Nobody looks any more. */
  leave(): void {
    this.hold.end();
  }

  /** Nobody is asked for what somebody else has just said; what was said here can be taken back. */
  hear(faceIds: readonly string[]): void {
    this.goneTo(faceIds.filter((id) => !this.judged.has(id)));
  }

  private goneTo(ids: readonly string[]): void {
    if (ids.length === 0) return;
    const now = Date.now();
    this.elsewhere = new Map([...this.elsewhere, ...ids.map((id) => [id, now] as const)]);
  }

  private isElsewhere(cell: Cell): boolean {
    return facesOf(cell).some(({ face_id }) => (this.elsewhere.get(face_id) ?? -1) >= this.readAt);
  }

  async count(): Promise<void> {
    const { rows } = await sql<{ expression: string; over: number; under: number }>(UNLABELLED_BY_CLASS);
    this.counts = Object.fromEntries(rows.map((row) => [row.expression, row]));
  }

  async load(): Promise<void> {
    const asked = ++this.asked;
    const readAt = Date.now();
    this.trouble = null;
    // What stood here answers another question: nobody is to confirm it as what is asked for now.
    this.read = [];
    this.isRead = false;
    try {
      const [rows, group] = await Promise.all([this.faces(), this.groups()]);
      if (asked !== this.asked) return;
      this.read = fold(rows, group);
      this.readAt = readAt;
      this.isCut = rows.length === READ;
    } catch (error) {
      if (asked !== this.asked) return;
      this.read = [];
      this.trouble = reasonOf(error, "The server does not answer. It is asked again when you choose a class.");
    }
    this.left = new Set();
    this.moved = new Map();
    this.seen.clear();
    this.begin();
    this.isRead = true;
  }

  private begin(): void {
    this.focus = 0;
    this.anchor = null;
    this.turn += 1;
  }

  /** These places are in view. */
  look(from: number, to: number): void {
    const before = this.seen.size;
    for (const { face } of this.all.slice(from, to)) this.seen.add(face.face_id);
    if (this.seen.size > before) this.looks += 1;
  }

  private async faces(): Promise<Face[]> {
    if (this.chosen) {
      const faces = await readFaces<Face>(this.chosen);
      // The least sure first, and what nobody scored behind all others.
      return faces.sort((a, b) => (a.confidence ?? 2) - (b.confidence ?? 2) || a.face_id.localeCompare(b.face_id));
    }
    const text = this.like ? facesLike(this.like, LIKE) : facesOfClass(this.expression, this.side, this.order, READ);
    return (await sql<Face>(text)).rows;
  }

  /** The class that most of the faces read bear, by label or by the model. */
  get commonest(): string | null {
    const counts = new Map<string, number>();
    for (const { face } of this.read) {
      const name = face.label ?? face.expression;
      if (name) counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null;
  }

  get ranged(): [number, number] {
    const from = this.anchor ?? this.focus;
    return [Math.min(from, this.focus), Math.max(from, this.focus)];
  }

  move(step: number, isRange: boolean): void {
    if (isRange) this.anchor ??= this.focus;
    else this.anchor = null;
    this.focus = Math.max(0, Math.min(this.all.length - 1, this.focus + step));
  }

  /** Leaves out or keeps what is in focus or ranged, all as the one in focus. */
  toggle(): void {
    const ids = this.rangedIds();
    const left = new Set(this.left);
    const isLeft = left.has(this.all[this.focus]?.face.face_id ?? "");
    for (const id of ids)
      if (isLeft) left.delete(id);
      else left.add(id);
    this.left = left;
  }

  keepAll(): void {
    this.left = new Set();
    this.moved = new Map();
  }

  invert(): void {
    this.left = new Set(this.kept.map(({ face }) => face.face_id));
  }

  relabel(name: string): void {
    const moved = new Map(this.moved);
    const left = new Set(this.left);
    for (const id of this.rangedIds()) {
      left.delete(id);
      if (name === this.expression) moved.delete(id);
      else moved.set(id, name);
    }
    this.moved = moved;
    this.left = left;
  }

  /** Confirms what is kept; says how many faces. */
  confirm(): number {
    const taken = new Set(this.kept.map(({ face }) => face.face_id));
    const judgements = this.kept.flatMap((cell) => this.judgementsOf(cell));
    this.passed = new Set([...this.passed, ...this.left]);
    this.left = new Set();
    this.moved = new Map([...this.moved].filter(([id]) => !taken.has(id)));
    if (judgements.length > 0) outbox.add(judgements, []);
    this.begin();
    if (this.isCut && this.all.length === 0) void this.load();
    return judgements.length;
  }

  private judgementsOf(cell: Cell): Judgement[] {
    const expression = this.moved.get(cell.face.face_id) ?? this.expression;
    return facesOf(cell).map(({ face_id, round, expression: suggestion }) => ({
      face_id,
      annotator: session.annotator,
      expression,
      lane: "grid",
      ...(round === null ? {} : { round }),
      ...(suggestion === null ? {} : { suggestion }),
    }));
  }

  /** What is ranged was looked at, however one came to its end. */
  private rangedIds(): string[] {
    const [from, to] = this.ranged;
    this.look(from, to + 1);
    return this.all.slice(from, to + 1).map(({ face }) => face.face_id);
  }

  /** Near-duplicates, read once: comparing all hashes is work. */
  private async groups(): Promise<(id: string) => string> {
    if (this.group) return this.group;
    try {
      const { rows } = await sql<{ face_id: string; near_id: string }>(NEAR_DUPLICATES);
      this.group = groups(rows);
      return this.group;
    } catch {
      // Without them nothing is folded, and everything else works.
      return (id) => id;
    }
  }
}
