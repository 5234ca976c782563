import { describe, expect, it } from "vitest";
import { heightOf, layoutOf, rowsIn, scrolledTo } from "../src/pages/grid/rows.ts";

const wide = layoutOf(932);

describe("layout", () => {
  it("fills the width with columns, three at least", () => {
    expect(wide.columns).toBe(9);
    for (const width of [300, 366, 700, 932, 1500, 2200]) {
      const { columns, side, across } = layoutOf(width);
      expect(columns).toBeGreaterThanOrEqual(3);
      const used = columns * across - (across - side);
      expect(used).toBeLessThanOrEqual(width);
      expect(width - used).toBeLessThan(columns);
    }
    expect(layoutOf(366).columns).toBe(3);
  });

  it("is as high as its rows, the last one begun or full", () => {
    expect(heightOf(wide, 0)).toBe(0);
    expect(heightOf(wide, 9)).toBe(heightOf(wide, 1));
    expect(heightOf(wide, 10) - heightOf(wide, 9)).toBe(wide.down);
    expect(heightOf(wide, 10_000)).toBe(1112 * wide.down - 10);
  });
});

describe("rows", () => {
  const height = 640;

  it("draws a few of ten thousand, wherever one has scrolled to", () => {
    const bottom = heightOf(wide, 10_000) - height;
    for (let top = 0; top <= bottom; top += 977.3) {
      const { drawn } = rowsIn(wide, 10_000, top, height);
      expect(drawn.to - drawn.from).toBeLessThanOrEqual(9 * 13);
      // All that is in view is drawn.
      expect(Math.floor(drawn.from / 9) * wide.down).toBeLessThanOrEqual(top);
      const end = Math.ceil(drawn.to / 9) * wide.down;
      expect(drawn.to === 10_000 || end >= top + height).toBe(true);
    }
  });

  it("counts as looked at what is in view from top to bottom", () => {
    const at = (top: number) => rowsIn(wide, 10_000, top, height).whole;
    const fits = Math.floor((height - wide.side) / wide.down) + 1;
    expect(at(0)).toEqual({ from: 0, to: 9 * fits });
    expect(at(1).from).toBe(9);
    expect(at(wide.down)).toEqual({ from: 9, to: 9 * (fits + 1) });
    expect(rowsIn(wide, 5, 0, height).whole).toEqual({ from: 0, to: 5 });
    expect(rowsIn(wide, 0, 0, height)).toEqual({ drawn: { from: 0, to: 0 }, whole: { from: 0, to: 0 } });
  });

  it("leaves nothing out between two looks of which one follows the other", () => {
    let seen = 0;
    for (let top = 0; top < 20_000; top += 60) {
      const { from, to } = rowsIn(wide, 10_000, top, height).whole;
      expect(from).toBeLessThanOrEqual(seen);
      seen = Math.max(seen, to);
    }
    // Nor in a window that is lower than a row.
    for (let top = 0, last = 0; top < 2000; top += 20) {
      const { from, to } = rowsIn(wide, 10_000, top, 60).whole;
      expect(from).toBeLessThanOrEqual(last);
      last = Math.max(last, to);
    }
  });

  it("scrolls no farther than it takes to see a cell", () => {
    expect(scrolledTo(wide, 3, 0, height)).toBe(0);
    expect(scrolledTo(wide, 0, 500, height)).toBe(0);
    const row = 20;
    const top = scrolledTo(wide, row * 9, 0, height);
    const { whole } = rowsIn(wide, 10_000, top, height);
    expect(whole.to).toBe((row + 1) * 9);
    expect(scrolledTo(wide, row * 9, top, height)).toBe(top);
  });
});
