// Faces that deserve a second look, one after the other.

import { sql } from "../../api/calls.ts";
import { isAbort, reasonOf } from "../../api/http.ts";
import { counts } from "../../outbox/act.ts";
import { outbox } from "../../outbox/outbox.svelte.ts";
import { DISPUTES, DOUBTS, judgementsOf } from "../../sql/texts.ts";

export type Kind = "disputes" | "doubts";

export interface Case {
  face_id: string;
  /** Classes with their votes, of a dispute. */
  classes?: string;
  tied?: boolean;
  /** The label that is doubted, and how likely it is right. */
  expression?: string;
  quality?: number;
  predicted: string | null;
  confidence: number | null;
  margin?: number | null;
}

export interface Voice {
  annotator: string;
  origin: string;
  says: string;
  seconds: number | null;
  note: string | null;
  votes: number[] | null;
}

export class Review {
  kind = $state<Kind>("disputes");
  all = $state.raw<Case[]>([]);
  isRead = $state(false);
  trouble = $state<string | null>(null);
  place = $state(0);
  voices = $state.raw<{ faceId: string; list: Voice[] } | null>(null);
  /** What was said before the list was read is in it. */
  private readAt = $state(0);
  private settled = $derived(
    new Set(
      outbox.acts
        .filter((act) => counts(act) && act.judgements[0]?.lane === "review" && act.at >= this.readAt)
        .flatMap((act) => act.judgements.map((judgement) => judgement.face_id)),
    ),
  );
  open = $derived(this.all.filter((one) => !this.settled.has(one.face_id)));
  done = $derived(this.all.length - this.open.length);
  current: Case | undefined = $derived(this.open[Math.min(this.place, this.open.length - 1)]);

  async load(): Promise<void> {
    this.isRead = false;
    const { kind } = this;
    const readAt = Date.now();
    try {
      const { rows } = await sql<Case>(kind === "disputes" ? DISPUTES : DOUBTS);
      if (kind !== this.kind) return;
      this.all = rows;
      this.readAt = readAt;
      this.trouble = null;
    } catch (error) {
      if (kind !== this.kind) return;
      this.all = [];
      this.trouble = reasonOf(error);
    }
    this.place = 0;
    this.isRead = true;
  }

  async hear(faceId: string, signal: AbortSignal): Promise<void> {
    try {
      const { rows } = await sql<Voice>(judgementsOf(faceId), {}, signal);
      this.voices = { faceId, list: rows };
    } catch (error) {
      if (!isAbort(error)) this.voices = { faceId, list: [] };
    }
  }

  move(step: number): void {
    this.place = Math.max(0, Math.min(this.open.length - 1, Math.min(this.place, this.open.length - 1) + step));
  }
}
