import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Hold, type Hands } from "../src/queue/hold.ts";

/** A server in memory: who has which face. */
class Desk {
  has = new Map<string, string>();
  isAway = false;

  hands(annotator: string, lost: (faceIds: string[]) => void): Hands {
    return {
      take: async (faceIds) => {
        await Promise.resolve();
        if (this.isAway) throw new Error("away");
        for (const id of faceIds) if (!this.has.has(id)) this.has.set(id, annotator);
        return faceIds.filter((id) => this.has.get(id) !== annotator);
      },
      putBack: async (faceIds) => {
        await Promise.resolve();
        for (const id of faceIds) if (this.has.get(id) === annotator) this.has.delete(id);
      },
      lost,
    };
  }

  of(annotator: string): string[] {
    return [...this.has].flatMap(([id, name]) => (name === annotator ? [id] : [])).sort();
  }
}

/** A grid over the same faces as all others: shows the first three that are neither judged nor somebody else's. */
class Grid {
  judged = new Set<string>();
  private elsewhere = new Set<string>();
  private hold: Hold;

  constructor(desk: Desk, annotator: string) {
    this.hold = new Hold(
      desk.hands(annotator, (ids) => {
        for (const id of ids) this.elsewhere.add(id);
        this.look();
      }),
    );
  }

  get view(): string[] {
    return [..."abcdefgh"].filter((id) => !this.judged.has(id) && !this.elsewhere.has(id)).slice(0, 3);
  }

  look(): void {
    this.hold.keep(this.view, (id) => this.judged.has(id));
  }

  confirm(): void {
    for (const id of this.view) this.judged.add(id);
    this.look();
  }

  leave(): void {
    this.hold.end();
  }
}

describe("Hold", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());
  const settle = () => vi.advanceTimersByTimeAsync(0);

  it("shows two people different faces", async () => {
    const desk = new Desk();
    const [ada, bob] = [new Grid(desk, "ada"), new Grid(desk, "bob")];
    ada.look();
    bob.look();
    await settle();
    expect([ada.view, bob.view]).toEqual([
      ["a", "b", "c"],
      ["d", "e", "f"],
    ]);
    expect([desk.of("ada"), desk.of("bob")]).toEqual([ada.view, bob.view]);
  });

  it("keeps what was judged from others until its label is there, and puts the rest back", async () => {
    const desk = new Desk();
    const ada = new Grid(desk, "ada");
    ada.look();
    await settle();
    ada.confirm();
    await settle();
    expect(desk.of("ada")).toEqual(["a", "b", "c", "d", "e", "f"]);
    ada.leave();
    await settle();
    expect(desk.of("ada")).toEqual(["a", "b", "c"]);
  });

  it("asks again while it is open for what the server has forgotten, and goes on without one", async () => {
    const desk = new Desk();
    const ada = new Grid(desk, "ada");
    desk.isAway = true;
    ada.look();
    await settle();
    expect(ada.view).toEqual(["a", "b", "c"]);
    desk.isAway = false;
    await vi.advanceTimersByTimeAsync(20_000);
    expect(desk.of("ada")).toEqual(["a", "b", "c"]);
    // Somebody else was quicker after an outage.
    desk.has = new Map([["b", "bob"]]);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(ada.view).toEqual(["a", "c", "d"]);
    expect(desk.of("ada")).toEqual(["a", "c", "d"]);
    ada.leave();
    desk.has = new Map();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(desk.of("ada")).toEqual([]);
  });
});
