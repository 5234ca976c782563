// Which point is under the pointer: points in cells of a grid over the map, so that a look at a few cells is enough.

import type { Box } from "./view.ts";

/** Points in a cell, about. */
const IN_CELL = 8;

export class Nearest {
  private readonly columns: number;
  private readonly side: number;
  /** Where a cell's points begin in `points`. */
  private readonly starts: Uint32Array;
  private readonly points: Uint32Array;

  constructor(
    private readonly xs: ArrayLike<number>,
    private readonly ys: ArrayLike<number>,
    private readonly box: Box,
  ) {
    const [wide, high] = [Math.max(box.right - box.left, 1e-6), Math.max(box.top - box.bottom, 1e-6)];
    this.side = Math.sqrt((wide * high * IN_CELL) / Math.max(xs.length, 1)) || 1;
    this.columns = Math.floor(wide / this.side) + 1;
    const rows = Math.floor(high / this.side) + 1;
    const cells = new Uint32Array(xs.length);
    this.starts = new Uint32Array(this.columns * rows + 1);
    for (let i = 0; i < xs.length; i += 1) {
      const cell = this.row(ys[i] ?? 0) * this.columns + this.column(xs[i] ?? 0);
      cells[i] = cell;
      this.starts[cell + 1] = (this.starts[cell + 1] ?? 0) + 1;
    }
    for (let cell = 1; cell < this.starts.length; cell += 1)
      this.starts[cell] = (this.starts[cell] ?? 0) + (this.starts[cell - 1] ?? 0);
    const next = this.starts.slice();
    this.points = new Uint32Array(xs.length);
    for (let i = 0; i < xs.length; i += 1) {
      const cell = cells[i] ?? 0;
      const at = next[cell] ?? 0;
      this.points[at] = i;
      next[cell] = at + 1;
    }
  }

  /** The point nearest to a place of the map within a reach, among those that are wanted; null where there is none. */
  find(x: number, y: number, reach: number, isWanted: (point: number) => boolean): number | null {
    let best: number | null = null;
    let shortest = reach * reach;
    const rows = this.starts.length / this.columns;
    const [low, high] = [Math.max(0, this.row(y - reach)), Math.min(Math.floor(rows) - 1, this.row(y + reach))];
    const [first, last] = [Math.max(0, this.column(x - reach)), Math.min(this.columns - 1, this.column(x + reach))];
    for (let row = low; row <= high; row += 1) {
      if (last < first) break;
      const from = this.starts[row * this.columns + first] ?? 0;
      const to = this.starts[row * this.columns + last + 1] ?? 0;
      for (let at = from; at < to; at += 1) {
        const point = this.points[at] ?? 0;
        const far = ((this.xs[point] ?? 0) - x) ** 2 + ((this.ys[point] ?? 0) - y) ** 2;
        if (far > shortest || !isWanted(point)) continue;
        shortest = far;
        best = point;
      }
    }
    return best;
  }

  private column(x: number): number {
    return Math.floor((x - this.box.left) / this.side);
  }

  private row(y: number): number {
    return Math.floor((y - this.box.bottom) / this.side);
  }
}
