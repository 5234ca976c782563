import { describe, expect, it } from "vitest";
import { isPending, newAct, undone, type Act } from "../src/outbox/act.ts";
import { flush, type Wire } from "../src/outbox/sender.ts";

class Away extends Error {}
class Refused extends Error {}

/** A server and a database in memory; `trouble` is thrown by the next request. */
class World {
  acts = new Map<string, Act>();
  stored = new Map<string, string[]>();
  takenBack: string[] = [];
  requests: string[] = [];
  trouble: Error[] = [];
  /** Runs while a request is on its way. */
  meanwhile: () => void = () => undefined;

  add(id: string, seq: number): Act {
    const act = newAct(seq, [{ face_id: `face-${id}`, annotator: "ada", expression: "fear" }], [], seq, id);
    this.acts.set(id, act);
    return act;
  }

  wire: Wire = {
    store: async (act) => {
      this.requests.push(`store ${act.id}`);
      const trouble = this.trouble.shift();
      if (trouble instanceof Refused) throw trouble;
      // The same key again is the same request.
      if (!this.stored.has(act.id)) this.stored.set(act.id, [`label-${act.id}`]);
      this.meanwhile();
      if (trouble) throw trouble;
      return (this.stored.get(act.id) ?? []).map((label_id) => ({
        label_id,
        face_id: "",
        expression: "fear",
        verdict: null,
      }));
    },
    takeBack: async (labelIds) => {
      this.requests.push(`take back ${labelIds.join(" ")}`);
      const trouble = this.trouble.shift();
      if (trouble) throw trouble;
      this.takenBack.push(...labelIds);
    },
    read: async (id) => this.acts.get(id),
    change: async (id, change) => {
      const act = this.acts.get(id);
      if (act) this.acts.set(id, change(act));
      return this.acts.get(id);
    },
    judge: (error) => (error instanceof Refused ? { later: false, reason: error.message } : { later: true }),
  };

  undo(id: string): void {
    const act = this.acts.get(id);
    if (act) this.acts.set(id, undone(act));
  }
}

describe("flush", () => {
  it("sends what waits in its order", async () => {
    const world = new World();
    world.add("a", 1);
    world.add("b", 2);
    expect(await flush(["a", "b"], world.wire)).toBe("empty");
    expect(world.requests).toEqual(["store a", "store b"]);
    expect(world.acts.get("a")).toMatchObject({ state: "stored", labelIds: ["label-a"] });
  });

  it("keeps what could not be sent, and everything behind it", async () => {
    const world = new World();
    world.add("a", 1);
    world.add("b", 2);
    world.trouble = [new Away()];
    expect(await flush(["a", "b"], world.wire)).toBe("later");
    expect([...world.acts.values()].every(isPending)).toBe(true);
    expect(await flush(["a", "b"], world.wire)).toBe("empty");
    // The first answer was lost; the second attempt bears the same key, so one label stands.
    expect(world.requests).toEqual(["store a", "store a", "store b"]);
    expect(world.stored.size).toBe(2);
  });

  it("goes on behind an answer that the server refuses", async () => {
    const world = new World();
    world.add("a", 1);
    world.add("b", 2);
    world.trouble = [new Refused("no such face")];
    expect(await flush(["a", "b"], world.wire)).toBe("empty");
    expect(world.acts.get("a")).toMatchObject({ state: "refused", refusal: "no such face" });
    expect(world.acts.get("b")).toMatchObject({ state: "stored" });
  });

  it("never sends what was taken back before it was sent", async () => {
    const world = new World();
    world.add("a", 1);
    world.undo("a");
    expect(await flush(["a"], world.wire)).toBe("empty");
    expect(world.requests).toEqual([]);
    expect(world.acts.get("a")).toMatchObject({ state: "dropped", undo: "done" });
  });

  it("takes back what was stored", async () => {
    const world = new World();
    world.add("a", 1);
    await flush(["a"], world.wire);
    world.undo("a");
    await flush(["a"], world.wire);
    expect(world.takenBack).toEqual(["label-a"]);
    expect(world.acts.get("a")).toMatchObject({ undo: "done" });
  });

  it("takes many labels of one act back in one request, and again where that was lost", async () => {
    const world = new World();
    const act = world.add("a", 1);
    world.acts.set("a", { ...act, state: "stored", labelIds: ["one", "two", "three"], undo: "waiting" });
    world.trouble = [new Away()];
    expect(await flush(["a"], world.wire)).toBe("later");
    expect(world.takenBack).toEqual([]);
    expect(await flush(["a"], world.wire)).toBe("empty");
    expect(world.requests).toEqual(["take back one two three", "take back one two three"]);
    expect(world.acts.get("a")).toMatchObject({ undo: "done" });
  });

  it("does not lose an undo that comes while the answer is on its way", async () => {
    const world = new World();
    world.add("a", 1);
    world.meanwhile = () => world.undo("a");
    await flush(["a"], world.wire);
    expect(world.takenBack).toEqual(["label-a"]);
    expect(world.acts.get("a")).toMatchObject({ state: "stored", undo: "done" });
  });

  it("takes back an answer of which nobody knows whether it arrived", async () => {
    const world = new World();
    world.add("a", 1);
    world.trouble = [new Away()];
    await flush(["a"], world.wire);
    world.undo("a");
    expect(await flush(["a"], world.wire)).toBe("empty");
    expect(world.requests).toEqual(["store a", "store a", "take back label-a"]);
  });
});
