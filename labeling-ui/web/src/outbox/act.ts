// An act: what somebody said in one go, about one face or many, and what became of it.

import type { Judgement, Task } from "../api/types.ts";

export interface Act {
  /** Also the request's idempotency key: however often it is sent, it is stored once. */
  id: string;
  /** Order in which acts were done. */
  seq: number;
  /** When, in milliseconds since 1970. */
  at: number;
  judgements: Judgement[];
  /** The face as the queue handed it out, so that an undo can show it again. */
  tasks: Task[];
  /** `waiting` here, `stored` there, `refused` by the server, or `dropped` before it was ever sent. */
  state: "waiting" | "stored" | "refused" | "dropped";
  /** Whether it may have reached the server: then taking it back needs its labels' ids first. */
  wasSent: boolean;
  labelIds: string[];
  /** Whether it was taken back, and whether the server knows. */
  undo: "no" | "waiting" | "done";
  /** Why it was refused. */
  refusal: string | null;
}

export function newAct(seq: number, judgements: Judgement[], tasks: Task[], at: number, id: string): Act {
  return {
    id,
    seq,
    at,
    judgements,
    tasks,
    state: "waiting",
    wasSent: false,
    labelIds: [],
    undo: "no",
    refusal: null,
  };
}

/** Whether the server has yet to hear of it, or of its undoing. */
export function isPending(act: Act): boolean {
  return act.state === "waiting" ? true : act.undo === "waiting" && act.state === "stored";
}

/** Whether what it says counts. */
export function counts(act: Act): boolean {
  return act.undo === "no" && act.state !== "refused" && act.state !== "dropped";
}

/** Takes an act back, as far as that can be done here. */
export function undone(act: Act): Act {
  if (act.state === "waiting" && !act.wasSent) return { ...act, state: "dropped", undo: "done" };
  return { ...act, undo: act.state === "refused" ? "done" : "waiting" };
}

/** What an act said, in a word: a class, a verdict, or how many. */
export function said(act: Act): string {
  const first = act.judgements[0];
  return first?.expression ?? first?.verdict ?? "";
}
