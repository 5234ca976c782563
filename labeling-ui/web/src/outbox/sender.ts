// Sends what waits, one act after the other, in their order. It knows nothing of the page: what it needs is handed in,
// so that it can be tried without a server or a database.

import type { StoredLabel } from "../api/types.ts";
import { isPending, type Act } from "./act.ts";

export interface Wire {
  /** Stores an act's judgements. */
  store(act: Act): Promise<StoredLabel[]>;
  /** Takes an act's labels back, all or none; those that are gone already count as taken back. */
  takeBack(labelIds: readonly string[], act: Act): Promise<void>;
  /** The newest state of an act, as it is kept. */
  read(id: string): Promise<Act | undefined>;
  /** Changes what is kept of an act, in one step: an undo may come at any time. Gives the act as it is then. */
  change(id: string, change: (act: Act) => Act): Promise<Act | undefined>;
  /** What a failure means: `later` (try again), or the reason of a refusal. */
  judge(error: unknown): { later: true } | { later: false; reason: string };
}

export type Outcome = "empty" | "later";

/** Sends everything that is pending; `later` where something has to wait. */
export async function flush(ids: string[], wire: Wire): Promise<Outcome> {
  for (const id of ids) {
    for (;;) {
      const act = await wire.read(id);
      if (!act || !isPending(act)) break;
      try {
        await step(act, wire);
      } catch (error) {
        const judged = wire.judge(error);
        if (judged.later) return "later";
        await wire.change(id, (act) => ({ ...act, state: "refused", undo: "no", refusal: judged.reason }));
      }
    }
  }
  return "empty";
}

/** One request of an act, and what came of it. */
async function step(act: Act, wire: Wire): Promise<void> {
  if (act.state === "waiting") {
    // Before it goes out: from now on nobody here can know whether it arrived.
    const going = await wire.change(act.id, (act) => (act.state === "waiting" ? { ...act, wasSent: true } : act));
    if (going?.state !== "waiting") return;
    const labels = await wire.store(going);
    const labelIds = labels.map((label) => label.label_id);
    await wire.change(act.id, (act) => ({ ...act, state: "stored", labelIds }));
    return;
  }
  if (act.labelIds.length > 0) await wire.takeBack(act.labelIds, act);
  await wire.change(act.id, (act) => ({ ...act, undo: "done" }));
}
