// What was said here: kept first, shown next, sent last; and taken back again.

import { storeLabels, takeAllBack, takeBack } from "../api/calls.ts";
import { Problem, Unreachable } from "../api/http.ts";
import type { Judgement, Task } from "../api/types.ts";
import { counts, isPending, newAct, undone, type Act } from "./act.ts";
import { flush, type Wire } from "./sender.ts";
import { allActs, changeAct, oneAct, putAct } from "./store.ts";

export type Connection = "online" | "offline" | "login";

const LOCK = "marginalia-outbox";
const SHORTEST = 1000;
const LONGEST = 20_000;

/** Labels that one request takes back. */
const MOST = 1000;

/** Takes labels back in one step; where one of them is gone already, each by itself. */
async function takeTogether(labelIds: readonly string[], annotator: string): Promise<void> {
  if (labelIds.length > 1) {
    try {
      await takeAllBack([...labelIds], annotator);
      return;
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
  for (const labelId of labelIds) {
    try {
      await takeBack(labelId, annotator);
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Problem && error.status === 404;
}

class Outbox {
  /** Acts in their order, the newest last. */
  acts = $state.raw<Act[]>([]);
  connection = $state<Connection>("online");
  /** Whether this browser cannot keep anything: then an act counts only once it is stored there. */
  isStorageBroken = $state(false);
  waiting = $derived(this.acts.filter(isPending).length);
  /** Whether this login may send what somebody said; what it may not waits for theirs. */
  speaksFor = $state.raw<(annotator: string) => boolean>(() => true);
  /** Answers by others that wait here for a login of theirs. */
  held = $derived(this.acts.filter((act) => isPending(act) && !this.isMine(act)).length);
  /** Whether something waits for longer than a request takes: only then is it worth a word. */
  isSlow = $state(false);
  /** Told when an act was refused. */
  onRefused: (act: Act) => void = () => undefined;
  /** Told when the login is somebody else's than this page knows. */
  onOther: () => void = () => undefined;
  /** Told when what waited while the server was away has gone out. */
  onBack: (sent: number) => void = () => undefined;

  private redoable: Act[] = [];
  private channel = new BroadcastChannel("marginalia-acts");
  private isFlushing = false;
  private again = false;
  private pause = SHORTEST;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private waitedOffline = 0;
  private slow: ReturnType<typeof setTimeout> | undefined;

  async open(): Promise<void> {
    try {
      this.acts = await allActs();
    } catch {
      this.isStorageBroken = true;
    }
    if (this.waiting > 0) this.isSlow = true;
    this.channel.onmessage = (message: MessageEvent<Act>) => this.show(message.data);
    addEventListener("online", () => this.send());
    void this.send();
  }

  /** Takes an act in. Its write begins before the page goes on and takes a millisecond or two; the next face is not on
   * the screen before that, so nobody goes on from an answer that is not kept. It is sent behind the page's back. */
  add(judgements: Judgement[], tasks: Task[]): Act {
    const seq = Math.max(Date.now(), (this.acts.at(-1)?.seq ?? 0) + 1);
    const act = newAct(seq, judgements, tasks, Date.now(), crypto.randomUUID());
    this.redoable = [];
    void this.write(act).then(() => this.send());
    return act;
  }

  /** Takes the newest act that counts back; null where there is none. */
  async undo(): Promise<Act | null> {
    const last = this.acts.findLast(counts);
    if (!last) return null;
    await this.change(last.id, undone);
    this.redoable.push(last);
    void this.send();
    return last;
  }

  /** Says again what was taken back last. */
  redo(): Act | null {
    const last = this.redoable.pop();
    if (!last) return null;
    const rest = this.redoable;
    const act = this.add(last.judgements, last.tasks);
    this.redoable = rest;
    return act;
  }

  /** Sends what waits, unless another page of this browser does. */
  async send(): Promise<void> {
    if (this.isFlushing) {
      this.again = true;
      return;
    }
    this.isFlushing = true;
    clearTimeout(this.timer);
    try {
      do {
        this.again = false;
        const outcome = await this.withLock(() => flush(this.pendingIds(), this.wire));
        if (outcome === "later") {
          this.retryLater();
          return;
        }
      } while (this.again);
      this.came();
    } finally {
      this.isFlushing = false;
    }
  }

  /** The server answered something else: what waits may go. */
  heard(): void {
    if (this.connection === "offline" || this.waiting > 0) void this.send();
    if (this.connection !== "online" && this.pendingIds().length === 0) this.connection = "online";
  }

  /** Something else could not be asked. */
  missed(): void {
    if (this.connection !== "online") return;
    this.connection = "offline";
    this.retryLater();
  }

  private came(): void {
    this.pause = SHORTEST;
    if (this.connection === "online" && this.waitedOffline > 0) {
      this.onBack(this.waitedOffline);
      this.waitedOffline = 0;
    }
  }

  private retryLater(): void {
    this.waitedOffline = Math.max(this.waitedOffline, this.waiting);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.send(), this.pause);
    this.pause = Math.min(2 * this.pause, LONGEST);
  }

  private pendingIds(): string[] {
    return this.acts.filter((act) => isPending(act) && this.isMine(act)).map((act) => act.id);
  }

  private isMine(act: Act): boolean {
    return this.speaksFor(act.judgements[0]?.annotator ?? "");
  }

  private async withLock<T>(work: () => Promise<T>): Promise<T> {
    return "locks" in navigator ? navigator.locks.request(LOCK, work) : work();
  }

  private show(act: Act): void {
    const place = this.acts.findIndex((other) => other.id === act.id);
    this.acts = place < 0 ? [...this.acts, act] : this.acts.with(place, act);
    if (this.waiting === 0) {
      clearTimeout(this.slow);
      this.slow = undefined;
      this.isSlow = false;
    } else this.slow ??= setTimeout(() => (this.isSlow = true), 500);
  }

  private async read(id: string): Promise<Act | undefined> {
    if (!this.isStorageBroken) {
      const stored = await oneAct(id).catch(() => undefined);
      if (stored) return stored;
    }
    return this.acts.find((act) => act.id === id);
  }

  private async write(act: Act): Promise<void> {
    const writing = this.isStorageBroken ? null : putAct(act);
    this.show(act);
    this.channel.postMessage(act);
    try {
      await writing;
    } catch {
      this.isStorageBroken = true;
    }
  }

  private async change(id: string, change: (act: Act) => Act): Promise<Act | undefined> {
    let changed: Act | undefined;
    try {
      if (!this.isStorageBroken) changed = await changeAct(id, change);
    } catch {
      this.isStorageBroken = true;
    }
    if (!changed) {
      const act = this.acts.find((act) => act.id === id);
      changed = act && change(act);
    }
    if (changed) {
      this.show(changed);
      this.channel.postMessage(changed);
    }
    return changed;
  }

  private wire: Wire = {
    store: async (act) => {
      const { labels } = await storeLabels(act.judgements, act.id);
      this.online();
      return labels;
    },
    takeBack: async (labelIds, act) => {
      const annotator = act.judgements[0]?.annotator ?? "";
      for (let from = 0; from < labelIds.length; from += MOST) {
        await takeTogether(labelIds.slice(from, from + MOST), annotator);
      }
      this.online();
    },
    read: (id) => this.read(id),
    change: async (id, change) => {
      const act = await this.change(id, change);
      if (act?.state === "refused") this.onRefused(act);
      return act;
    },
    judge: (error) => {
      if (error instanceof Problem && error.status === 401) {
        this.connection = "login";
        return { later: true };
      }
      // Another page of this browser logged in as somebody else: what was said here waits for its own.
      if (error instanceof Problem && error.code === "other_annotator") {
        this.onOther();
        return { later: true };
      }
      if (error instanceof Problem && !error.isPassing) return { later: false, reason: error.detail };
      if (error instanceof Unreachable || error instanceof Problem) {
        this.connection = "offline";
        return { later: true };
      }
      throw error;
    },
  };

  private online(): void {
    this.connection = "online";
  }
}

export const outbox = new Outbox();
