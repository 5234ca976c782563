// The face in view, and what is said about it. A key counts only if it was pressed after this face was on the screen: a
// double press never judges a face that nobody has seen.

import type { Judgement, Task, Verdict } from "../../api/types.ts";
import { counts, said, type Act } from "../../outbox/act.ts";
import { outbox } from "../../outbox/outbox.svelte.ts";
import { feed } from "../../queue/feed.svelte.ts";
import { session } from "../../shell/session.svelte.ts";
import { toasts } from "../../ui/toasts.svelte.ts";
import { capital, word } from "../../ui/words.ts";

/** Longer than this nobody looks at one face: the time is not told. */
const LONGEST_LOOK = 600;

export class Judging {
  /** How many acts one has gone back to look at; 0 is the face in turn. */
  back = $state(0);
  note = $state("");
  /** The key that was pressed too early, for a short flash. */
  early = $state<string | null>(null);
  /** Acts of this page that stand, the newest first. */
  done = $derived(outbox.acts.filter((act) => counts(act) && act.tasks.length === 1).reverse());
  earlier: Act | undefined = $derived(this.back > 0 ? this.done[this.back - 1] : undefined);
  task: Task | undefined = $derived(this.earlier ? this.earlier.tasks[0] : feed.current);
  isBlind = $derived(this.task !== undefined && this.task.lane !== "queue" && !this.earlier);
  /** The class that Enter takes. */
  suggestion = $derived(this.earlier || this.isBlind ? null : (this.task?.expression ?? null));
  picture = $derived(this.task ? feed.picture(this.task.face_id) : undefined);
  isBroken = $derived(this.picture?.state === "failed" && !this.earlier);
  /** What stands beside the face follows one frame after it: the face is what the hand waits for. */
  settled = $state.raw<{ task: Task | undefined; isBlind: boolean; back: number; acts: Act[] }>({
    task: undefined,
    isBlind: false,
    back: 0,
    acts: [],
  });
  private paintedAt: number | null = null;
  private flash: ReturnType<typeof setTimeout> | undefined;

  /** The face in view has changed, and is not painted yet. */
  changed(): void {
    this.paintedAt = null;
  }

  painted(at: number): void {
    this.paintedAt = at;
    this.settle();
  }

  settle(): void {
    this.settled = { task: this.task, isBlind: this.isBlind, back: this.back, acts: outbox.acts };
  }

  class(name: string, pressed: number | null): void {
    if (this.isBroken) {
      toasts.say("The image cannot be shown, so it has no class. Mark it as not a face, or skip it.");
      return;
    }
    this.say({ expression: name }, pressed, name);
  }

  verdict(verdict: Verdict, pressed: number | null): void {
    this.say({ verdict }, pressed, verdict);
  }

  accept(pressed: number | null): void {
    if (this.suggestion) this.class(this.suggestion, pressed);
    else if (this.task) toasts.say("No suggestion here: this face is judged without one. Judge it by its class.");
  }

  look(step: number): void {
    this.back = Math.min(this.done.length, Math.max(0, this.back + step));
  }

  private say(answer: { expression: string } | { verdict: Verdict }, pressed: number | null, key: string): void {
    const { task, earlier } = this;
    if (!task) return;
    if (this.paintedAt === null || (pressed !== null && pressed < this.paintedAt)) {
      this.tooEarly(key);
      return;
    }
    const seconds = (performance.now() - this.paintedAt) / 1000;
    // From here on the face in view is judged; a second press meets the next one, or nothing.
    this.paintedAt = null;
    const judgement: Judgement = { face_id: task.face_id, annotator: session.annotator, ...answer, lane: task.lane };
    if (task.round !== null) judgement.round = task.round;
    if (this.suggestion) judgement.suggestion = this.suggestion;
    if (!earlier && seconds <= LONGEST_LOOK) judgement.seconds = Math.round(seconds * 100) / 100;
    if (this.note.trim()) judgement.note = this.note.trim();
    outbox.add([judgement], [task]);
    this.note = "";
    if (earlier) {
      this.back = 0;
      toasts.say(`Changed from ${word(said(earlier))} to ${word(key)}.`);
    }
    feed.pass(task.face_id);
    toasts.tell(`${capital(word(key))}. ${feed.current ? "Next face." : "No more faces."}`);
  }

  private tooEarly(key: string): void {
    clearTimeout(this.flash);
    this.early = key;
    this.flash = setTimeout(() => (this.early = null), 120);
  }
}
