// Draws points into the pixels of an image: discs with a soft rim, written by hand because a canvas that is told of each point
// by itself is ten times slower. Discs are made once for each size.

import type { View } from "./view.ts";

export interface Disc {
  /** Pixels to all sides of the middle. */
  reach: number;
  /** How much of each pixel is covered, 0 to 256, row by row. */
  cover: Uint16Array;
}

/** A disc of some radius, in pixels. */
export function disc(radius: number): Disc {
  const reach = Math.ceil(radius);
  const side = 2 * reach + 1;
  const cover = new Uint16Array(side * side);
  for (let y = -reach; y <= reach; y += 1)
    for (let x = -reach; x <= reach; x += 1) {
      const part = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(x, y)));
      cover[(y + reach) * side + x + reach] = Math.round(256 * part);
    }
  return { reach, cover };
}

/** `#rrggbb` or `#rgb` as the pixel of an image; in the order of bytes that all machines with browsers have. */
export function pixelOf(colour: string): number {
  const digits = colour.trim().slice(1, 7);
  // Style sheets are made small when they are built, colours too.
  const value = Number.parseInt(digits.length === 3 ? digits.replace(/./g, "$&$&") : digits, 16) || 0;
  return ((255 << 24) | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

/** One pixel over another, by so many of 256 parts. */
export function over(above: number, below: number, parts: number): number {
  const rest = 256 - parts;
  const redBlue = (((above & 0xff00ff) * parts + (below & 0xff00ff) * rest) >>> 8) & 0xff00ff;
  const green = (((above & 0xff00) * parts + (below & 0xff00) * rest) >>> 8) & 0xff00;
  return ((255 << 24) | redBlue | green) >>> 0;
}

export interface Scene {
  xs: Float32Array;
  ys: Float32Array;
  /** Points in the order in which they are drawn, those that are hidden left out. */
  order: Uint32Array;
  /** The pixel of each point. */
  colours: Uint32Array;
}

/** Draws a scene as a view shows it, over a background. */
export function paint(
  pixels: Uint32Array,
  width: number,
  height: number,
  scene: Scene,
  view: View,
  { reach, cover }: Disc,
  background: number,
): void {
  pixels.fill(background);
  const { xs, ys, order, colours } = scene;
  const side = 2 * reach + 1;
  for (let n = 0; n < order.length; n += 1) {
    const point = order[n] as number;
    const px = Math.floor(((xs[point] as number) - view.x0) * view.scale);
    const py = Math.floor((view.y0 - (ys[point] as number)) * view.scale);
    if (px < -reach || py < -reach || px >= width + reach || py >= height + reach) continue;
    const colour = colours[point] as number;
    const [left, right] = [Math.max(-reach, -px), Math.min(reach, width - 1 - px)];
    const [top, bottom] = [Math.max(-reach, -py), Math.min(reach, height - 1 - py)];
    for (let dy = top; dy <= bottom; dy += 1) {
      const row = (py + dy) * width + px;
      const from = (dy + reach) * side + reach;
      for (let dx = left; dx <= right; dx += 1) {
        const parts = cover[from + dx] as number;
        if (parts === 256) pixels[row + dx] = colour;
        else if (parts > 0) pixels[row + dx] = over(colour, pixels[row + dx] as number, parts);
      }
    }
  }
}

/** The radius of a point, in pixels of a screen with so many of them to one of the page: the fewer points, the larger. */
export function radiusFor(points: number, zoom: number, density: number): number {
  const base = points > 40_000 ? 1.2 : points > 10_000 ? 1.7 : points > 3000 ? 2.4 : 3.4;
  return Math.min(base * Math.min(2.2, Math.max(1, zoom ** 0.35)), 7) * density;
}
