// What the server tells while the page is open: that something changed, and how far a round is.

import { listen } from "../api/events.ts";
import { outbox } from "../outbox/outbox.svelte.ts";
import { toasts } from "../ui/toasts.svelte.ts";

export interface Running {
  round: number;
  epoch: number;
  epochs: number;
  step: number;
  steps: number;
  /** When this page first heard of it, and how far it was then: what the time left is reckoned from. */
  heard: { at: number; done: number };
  /** What is being done once the training is over. */
  scored: { scored: number; faces: number } | null;
}

/** Losses that are kept, so that a long round does not fill the memory. */
const KEPT = 12_000;

type Topic = "labels" | "rounds" | "faces" | "flags";

class Live {
  running = $state.raw<Running | null>(null);
  /** Losses of each step that this page saw, of the round under way, by term, `at` so many epochs. */
  losses = $state.raw<{ at: number; term: string; value: number }[]>([]);
  /** Epochs of the round under way, as they ended. */
  epochs = $state.raw<Record<string, unknown>[]>([]);
  changes = $state<Record<Topic, number>>({ labels: 0, rounds: 0, faces: 0, flags: 0 });
  private listeners = new Set<(faceIds: readonly string[]) => void>();

  open(): () => void {
    return listen(
      (name, data) => this.hear(name, data),
      (isOpen) => (isOpen ? outbox.heard() : undefined),
    );
  }

  /** Tells which faces are being labelled, here or elsewhere, until what it gives is called. */
  whenLabelled(tell: (faceIds: readonly string[]) => void): () => void {
    this.listeners.add(tell);
    return () => this.listeners.delete(tell);
  }

  /** A round that began before this page was there to hear of it. */
  isUnderWay(round: number): void {
    if (this.running === null) this.start(round);
  }

  private hear(name: string, data: Record<string, unknown>): void {
    switch (name) {
      case "resync":
        for (const topic of ["labels", "rounds", "faces", "flags"] as const) this.changes[topic] += 1;
        break;
      case "labelled":
        this.changes.labels += 1;
        this.tell((data["labels"] as { face_id: string }[]).map(({ face_id }) => face_id));
        break;
      case "label_taken_back":
        this.changes.labels += 1;
        break;
      case "faces":
        this.changes.faces += 1;
        break;
      case "changed":
        this.changed(data["tables"] as string[]);
        break;
      case "round":
        this.round(data);
        break;
      case "round_progress":
        this.progress(data);
        break;
      case "warning":
        toasts.say(String(data["message"]));
        break;
    }
  }

  private tell(faceIds: readonly string[]): void {
    for (const listener of this.listeners) listener(faceIds);
  }

  private changed(tables: string[]): void {
    for (const topic of ["labels", "rounds", "faces", "flags"] as const)
      if (tables.includes(topic)) this.changes[topic] += 1;
  }

  private round(data: Record<string, unknown>): void {
    const round = Number(data["round"]);
    switch (data["event"]) {
      case "round_started":
        this.start(round);
        toasts.say(`Round ${round} has started.`);
        break;
      case "epoch_finished":
        this.epochs = [...this.epochs.filter((epoch) => epoch["round"] === round), data];
        break;
      case "round_committed":
        this.end(`Round ${round} is in use.`);
        break;
      case "round_rejected":
        this.end(`Round ${round} was set aside: ${String(data["reason"])}. The round before stays in use.`);
        break;
      case "round_aborted":
        this.end(`Round ${round} was stopped: ${String(data["reason"])}. Nothing of it shows.`);
        break;
    }
  }

  private start(round: number): void {
    const heard = { at: Date.now(), done: 0 };
    this.running = { round, epoch: 0, epochs: 0, step: 0, steps: 0, heard, scored: null };
    this.losses = [];
    this.epochs = [];
  }

  private end(words: string): void {
    this.running = null;
    this.changes.rounds += 1;
    toasts.say(words);
  }

  private progress(data: Record<string, unknown>): void {
    const round = Number(data["round"]);
    if (this.running?.round !== round) this.start(round);
    const running = this.running;
    if (!running) return;
    if (data["event"] === "pool_scored") {
      this.running = { ...running, scored: { scored: Number(data["scored"]), faces: Number(data["faces"]) } };
      return;
    }
    const [epoch, epochs] = [Number(data["epoch"]), Number(data["epochs"])];
    const [step, steps] = [Number(data["step"]), Number(data["steps"])];
    const done = (epoch - 1) * steps + step;
    const heard = running.epochs === 0 ? { at: Date.now(), done } : running.heard;
    this.running = { ...running, epoch, epochs, step, steps, heard };
    const losses = data["losses"] as { name: string; value: number }[];
    const at = epoch - 1 + step / steps;
    const told = losses.map(({ name, value }) => ({ at, term: name, value }));
    this.losses = [...this.losses, ...told].slice(-KEPT);
  }
}

export const live = new Live();

/** How far a round's training is, 0 to 1. */
export function share(running: Running): number {
  const all = running.epochs * running.steps;
  return all > 0 ? ((running.epoch - 1) * running.steps + running.step) / all : 0;
}

/** Seconds that the training will go on at the pace seen so far; null before there is one. */
export function secondsLeft(running: Running, now: number): number | null {
  const done = (running.epoch - 1) * running.steps + running.step;
  const [seen, took] = [done - running.heard.done, now - running.heard.at];
  if (seen < 10 || took <= 0) return null;
  return ((running.epochs * running.steps - done) * took) / seen / 1000;
}
