import { describe, expect, it } from "vitest";
import { isSingle, nameOf, Sequence, written, type Press } from "../src/actions/keys.ts";
import { ACTIONS, may, meet } from "../src/actions/table.ts";

function press(key: string, code: string, mods: Partial<Press> = {}): Press {
  return { key, code, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...mods };
}

describe("nameOf", () => {
  it("takes digits by their place", () => {
    expect(nameOf(press("1", "Digit1"))).toBe("digit1");
    expect(nameOf(press("&", "Digit1"))).toBe("digit1"); // AZERTY, no Shift
    expect(nameOf(press("1", "Digit1", { shiftKey: true }))).toBe("digit1"); // AZERTY, Shift
    expect(nameOf(press("4", "Numpad4"))).toBe("digit4");
  });

  it("takes what is typed for everything else", () => {
    expect(nameOf(press("s", "KeyS"))).toBe("s");
    expect(nameOf(press("/", "Digit7", { shiftKey: true }))).toBe("/"); // QWERTZ
    expect(nameOf(press("?", "Slash", { shiftKey: true }))).toBe("?");
    expect(nameOf(press("[", "Digit8", { ctrlKey: true, altKey: true }))).toBe("["); // QWERTZ, AltGr
    expect(nameOf(press("ы", "KeyS"))).toBe("s"); // a Cyrillic layout
    expect(nameOf(press(" ", "Space"))).toBe("space");
  });

  it("tells Ctrl and Cmd, and leaves Alt alone", () => {
    expect(nameOf(press("z", "KeyZ", { ctrlKey: true }))).toBe("mod+z");
    expect(nameOf(press("Z", "KeyZ", { metaKey: true, shiftKey: true }))).toBe("mod+shift+z");
    expect(nameOf(press("s", "KeyS", { altKey: true }))).toBeNull();
    expect(nameOf(press("Shift", "ShiftLeft", { shiftKey: true }))).toBeNull();
    expect(nameOf(press("S", "KeyS", { shiftKey: true }))).toBe("shift+s");
  });
});

describe("Sequence", () => {
  const begins = (first: string) => first === "g";

  it("waits a second for the second key, which then is nothing else", () => {
    const sequence = new Sequence();
    expect(sequence.press("g", 0, begins)).toEqual([]);
    expect(sequence.press("s", 900, begins)).toEqual(["g s"]);
    expect(sequence.press("s", 950, begins)).toEqual(["s"]);
  });

  it("forgets the first key after a second", () => {
    const sequence = new Sequence();
    sequence.press("g", 0, begins);
    expect(sequence.press("s", 1001, begins)).toEqual(["s"]);
  });
});

describe("the table", () => {
  it("gives no key to two acts that may be live together", () => {
    for (const [place, one] of ACTIONS.entries()) {
      for (const other of ACTIONS.slice(place + 1)) {
        if (!meet(one.group, other.group)) continue;
        const shared = one.keys.filter((key) => other.keys.includes(key));
        expect(shared, `${one.id} and ${other.id}`).toEqual([]);
      }
    }
  });

  it("binds nothing to Backspace, Delete, X or D", () => {
    const keys = ACTIONS.flatMap((action) => action.keys);
    for (const key of ["backspace", "delete", "x", "d"]) expect(keys).not.toContain(key);
  });
});

describe("roles", () => {
  const allowed = (role: "reader" | "annotator" | "admin") => ACTIONS.map(({ id }) => id).filter((id) => may(role, id));

  it("lets a reader look, and change nothing", () => {
    const mine = allowed("reader");
    for (const id of [
      "go.label",
      "similar",
      "explain",
      "earlier",
      "grid.after",
      "rounds.compare",
      "sql.run",
      "map.lasso",
    ])
      expect(mine, id).toContain(id);
    const changes = ["class.0", "class.9", "class.find", "skip", "unsure", "not_a_face", "note", "flag", "accept"];
    for (const id of [...changes, "undo", "redo", "grid.leave", "grid.all", "grid.invert", "grid.confirm", "sql.save"])
      expect(mine, id).not.toContain(id);
  });

  it("leaves rounds to an admin, and all else to an annotator too", () => {
    expect(allowed("admin")).toHaveLength(ACTIONS.length);
    const missing = allowed("admin").filter((id) => !may("annotator", id));
    expect(missing).toEqual(["rounds.start", "rounds.stop"]);
    expect(allowed("reader").filter((id) => id.startsWith("rounds."))).toEqual(["rounds.compare"]);
  });
});

describe("words for keys", () => {
  it("writes them as on the keyboard", () => {
    expect(written("digit3")).toBe("3");
    expect(written("g l")).toBe("G L");
    expect(written("+")).toBe("+");
    expect(written("mod++")).toMatch(/^(Ctrl|⌘) \+$/);
    expect(written("mod+shift+z")).toMatch(/^(Ctrl|⌘) Shift Z$/);
  });

  it("knows plain keys from others", () => {
    expect(isSingle("s")).toBe(true);
    expect(isSingle("digit1")).toBe(true);
    expect(isSingle("mod+z")).toBe(false);
    expect(isSingle("enter")).toBe(false);
  });
});
