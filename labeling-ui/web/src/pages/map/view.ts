// Where the map lies under the window: a shift and a scale between its own units and pixels of the canvas. `y` of the
// map grows upwards, pixels grow downwards.

export interface Size {
  width: number;
  height: number;
}

export interface Box {
  left: number;
  right: number;
  bottom: number;
  top: number;
}

/** Pixel = (x − x0) · scale to the right, (y0 − y) · scale downwards. */
export interface View {
  x0: number;
  y0: number;
  /** Pixels a unit of the map. */
  scale: number;
}

/** How far one can go in and out, as multiples of the scale that shows everything. */
const [FARTHEST, NEAREST] = [0.5, 400];

export function boxOf(xs: ArrayLike<number>, ys: ArrayLike<number>): Box {
  const box = { left: Infinity, right: -Infinity, bottom: Infinity, top: -Infinity };
  for (let i = 0; i < xs.length; i += 1) {
    const [x, y] = [xs[i] ?? 0, ys[i] ?? 0];
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.bottom = Math.min(box.bottom, y);
    box.top = Math.max(box.top, y);
  }
  return xs.length > 0 ? box : { left: -1, right: 1, bottom: -1, top: 1 };
}

/** All of the box, in the middle, with a rim around it. */
export function fit(box: Box, size: Size, rim: number): View {
  const [wide, high] = [Math.max(box.right - box.left, 1e-6), Math.max(box.top - box.bottom, 1e-6)];
  const scale = Math.max(1e-9, Math.min((size.width - 2 * rim) / wide, (size.height - 2 * rim) / high));
  return {
    x0: (box.left + box.right) / 2 - size.width / 2 / scale,
    y0: (box.bottom + box.top) / 2 + size.height / 2 / scale,
    scale,
  };
}

export function toPixel(view: View, x: number, y: number): [number, number] {
  return [(x - view.x0) * view.scale, (view.y0 - y) * view.scale];
}

export function toMap(view: View, px: number, py: number): [number, number] {
  return [view.x0 + px / view.scale, view.y0 - py / view.scale];
}

/** The map is dragged by so many pixels. */
export function panned(view: View, dx: number, dy: number): View {
  return { ...view, x0: view.x0 - dx / view.scale, y0: view.y0 + dy / view.scale };
}

/** Closer by a factor, with the pixel at (px, py) staying where it is; `whole` is the view that shows everything. */
export function zoomed(view: View, factor: number, px: number, py: number, whole: View): View {
  const scale = Math.min(NEAREST * whole.scale, Math.max(FARTHEST * whole.scale, view.scale * factor));
  const [x, y] = toMap(view, px, py);
  return { x0: x - px / scale, y0: y + py / scale, scale };
}
