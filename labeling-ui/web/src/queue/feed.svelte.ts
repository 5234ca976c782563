// The faces ahead of one annotator: taken from the queue before they are needed, kept in this person's hands by a
// heartbeat, and kept in this browser for the time that the server is away.

import { extendLeases, takeFromQueue } from "../api/calls.ts";
import { Problem, Unreachable } from "../api/http.ts";
import type { Nothing, Task } from "../api/types.ts";
import { counts } from "../outbox/act.ts";
import { outbox } from "../outbox/outbox.svelte.ts";
import { keepFeed, keptFeed } from "../outbox/store.ts";
import { session } from "../shell/session.svelte.ts";
import { Images, type Picture } from "./images.ts";

/** Faces in hand, and how many are left when more are asked for. */
const IN_HAND = 40;
const LOW = 30;
/** Faces decoded ahead. */
const DECODED = 8;

class Feed {
  tasks = $state.raw<Task[]>([]);
  waiting = $state(0);
  round = $state<number | null>(null);
  nothing = $state.raw<Nothing | null>(null);
  /** Set once the queue, or what was kept of it, has been looked at. */
  isRead = $state(false);
  trouble = $state<string | null>(null);
  /** Faces that went to somebody else while they were in hand. */
  lost = $state(0);
  private pictures = $state.raw<Record<string, Picture>>({});
  private images = new Images((picture) => {
    this.pictures = { ...this.pictures, [picture.faceId]: picture };
  });
  /** Whose the faces in hand are. */
  private of = session.annotator;
  private isAsking = false;
  private heart: ReturnType<typeof setInterval> | undefined;
  private holding: ReturnType<typeof setTimeout> | undefined;
  private keeping: ReturnType<typeof setTimeout> | undefined;
  private later: ReturnType<typeof setTimeout> | undefined;

  get current(): Task | undefined {
    return this.tasks[0];
  }

  picture(faceId: string): Picture | undefined {
    return this.pictures[faceId];
  }

  retry(faceId: string): void {
    this.images.retry(faceId);
  }

  async open(): Promise<void> {
    if (this.heart === undefined) this.heart = setInterval(() => void this.beat(), 20_000);
    await this.refill();
  }

  /** The current face is done with. */
  pass(faceId: string): void {
    if (!this.tasks.some((task) => task.face_id === faceId)) return;
    this.waiting = Math.max(0, this.waiting - 1);
    this.set(this.tasks.filter((task) => task.face_id !== faceId));
    if (this.tasks.length < LOW) void this.refill();
  }

  /** A face comes back to the front. */
  putBack(task: Task): void {
    this.set([task, ...this.tasks.filter((other) => other.face_id !== task.face_id)]);
    this.waiting += 1;
  }

  /** Looks at the queue anew, and says which faces it gave. */
  async refill(): Promise<Set<string> | null> {
    if (this.isAsking || !session.annotator) return null;
    clearTimeout(this.later);
    if (!session.mayJudge) {
      // The queue is for those who judge; what somebody else had in hand here stays theirs.
      this.set([]);
      return null;
    }
    this.isAsking = true;
    if (this.of !== session.annotator) {
      // Somebody else sits here now: what was in hand is still the other's.
      this.of = session.annotator;
      this.set([]);
    }
    try {
      const served = await takeFromQueue(session.annotator, IN_HAND);
      outbox.heard();
      const done = this.done();
      const [current] = this.tasks;
      const fresh = served.tasks.filter((task) => !done.has(task.face_id));
      // The face in view stays where it is, whatever the order has become.
      const rest = current ? fresh.filter((task) => task.face_id !== current.face_id) : fresh;
      this.round = served.round;
      this.waiting = served.waiting;
      this.nothing = served.nothing;
      this.trouble = null;
      this.set(current && !done.has(current.face_id) ? [current, ...rest] : rest);
      const retry = served.nothing?.retry_after_seconds;
      if (retry !== undefined) this.later = setTimeout(() => void this.refill(), 1000 * Math.min(retry + 0.5, 60));
      return new Set(served.tasks.map((task) => task.face_id));
    } catch (error) {
      await this.without(error);
      return null;
    } finally {
      this.isAsking = false;
      this.isRead = true;
    }
  }

  /** The server did not give anything: goes on with what was kept. */
  private async without(error: unknown): Promise<void> {
    if (error instanceof Problem) this.trouble = error.detail;
    else if (error instanceof Unreachable) outbox.missed();
    else throw error;
    this.later = setTimeout(() => void this.refill(), 5000);
    if (this.tasks.length > 0) return;
    const kept = await keptFeed().catch(() => undefined);
    if (!kept || kept.annotator !== session.annotator) return;
    const done = this.done();
    this.round = kept.round;
    this.waiting = kept.waiting;
    this.set(kept.tasks.filter((task) => !done.has(task.face_id)));
  }

  private async beat(): Promise<void> {
    const ids = this.tasks.map((task) => task.face_id);
    if (ids.length === 0 || !session.annotator) return;
    try {
      const { lost } = await extendLeases(session.annotator, ids);
      outbox.heard();
      if (lost.length === 0) return;
      // After an outage leases are over and nobody else may want the faces: the queue says which are still ours.
      const current = this.current;
      const served = await this.refill();
      if (!current || !served || served.has(current.face_id) || !lost.includes(current.face_id)) return;
      this.lost += 1;
      this.set(this.tasks.filter((task) => task.face_id !== current.face_id));
    } catch (error) {
      if (error instanceof Unreachable) outbox.missed();
    }
  }

  private done(): Set<string> {
    const done = new Set<string>();
    for (const act of outbox.acts) {
      if (counts(act)) for (const judgement of act.judgements) done.add(judgement.face_id);
    }
    return done;
  }

  private set(tasks: Task[]): void {
    this.tasks = tasks;
    clearTimeout(this.holding);
    // Loading starts after the frame in which the next face is to be seen, unless it is that face that is missing.
    if (tasks[0] && !this.images.get(tasks[0].face_id)) this.hold();
    else this.holding = setTimeout(() => this.hold(), 40);
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => this.keep(), 300);
  }

  private hold(): void {
    const ids = this.tasks.slice(0, DECODED).map((task) => task.face_id);
    this.images.hold(ids);
    this.pictures = Object.fromEntries(ids.flatMap((id) => this.images.get(id) ?? []).map((p) => [p.faceId, p]));
  }

  private keep(): void {
    const { tasks, waiting, round } = this;
    keepFeed({ annotator: session.annotator, tasks, waiting, round }).catch(() => undefined);
  }
}

export const feed = new Feed();
