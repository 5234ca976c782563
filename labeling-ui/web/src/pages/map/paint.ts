// Draws points into the pixels of an image: discs with a soft rim, written by hand because a canvas that is told of
// each point by itself is ten times slower. Discs are made once for each size.

import type { Size, View } from "./view.ts";

export interface Disc {
  /** Pixels to all sides of the middle. */
  reach: number;
  /** Pixels that are covered, as steps from the middle to the right and down, and by how many of 256 parts. */
  dx: Int16Array;
  dy: Int16Array;
  parts: Uint16Array;
}

/** A disc of some radius, in pixels; a sharp one has no half covered pixels, and takes a third of the time to draw. */
export function disc(radius: number, isSharp = false): Disc {
  const reach = Math.ceil(radius);
  const pixels: [number, number, number][] = [];
  for (let y = -reach; y <= reach; y += 1)
    for (let x = -reach; x <= reach; x += 1) {
      const cover = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(x, y)));
      const parts = isSharp ? 256 * Math.round(cover) : Math.round(256 * cover);
      if (parts > 0) pixels.push([x, y, parts]);
    }
  return {
    reach,
    dx: Int16Array.from(pixels, ([x]) => x),
    dy: Int16Array.from(pixels, ([, y]) => y),
    parts: Uint16Array.from(pixels, ([, , parts]) => parts),
  };
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
  { reach, dx, dy, parts }: Disc,
  background: number,
): void {
  pixels.fill(background);
  const { xs, ys, order, colours } = scene;
  const { x0, y0, scale } = view;
  const steps = Int32Array.from(dx, (right, n) => (dy[n] as number) * width + right);
  const isSharp = parts.every((part) => part === 256);
  for (let n = 0; n < order.length; n += 1) {
    const point = order[n] as number;
    const px = Math.floor(((xs[point] as number) - x0) * scale);
    const py = Math.floor((y0 - (ys[point] as number)) * scale);
    if (px < -reach || py < -reach || px >= width + reach || py >= height + reach) continue;
    const colour = colours[point] as number;
    const middle = py * width + px;
    const isInside = px >= reach && py >= reach && px < width - reach && py < height - reach;
    if (isInside && isSharp) {
      for (let k = 0; k < steps.length; k += 1) pixels[middle + (steps[k] as number)] = colour;
      continue;
    }
    for (let k = 0; k < steps.length; k += 1) {
      const [x, y] = [px + (dx[k] as number), py + (dy[k] as number)];
      if (!isInside && (x < 0 || y < 0 || x >= width || y >= height)) continue;
      const at = middle + (steps[k] as number);
      const part = parts[k] as number;
      pixels[at] = part === 256 ? colour : over(colour, pixels[at] as number, part);
    }
  }
}

/** Beyond so many points a soft rim is not worth its time. */
const SOFT = 20_000;

/** The side, in pixels of the page, of a square canvas on which points have the radius that their number asks for. */
const USUAL_SIDE = 750;
/** What is still seen, and what does not hide its neighbours, in pixels of the page. */
const [SMALLEST, LARGEST] = [0.8, 7];

/** How large a point is among so many of them, in pixels of the page: the fewer there are and the closer one looks, the
 * larger; on a smaller canvas smaller and on a larger one larger, so that points cover about the same part of it. */
export function radiusFor(points: number, zoom: number, { width, height }: Size): number {
  const base = points > 40_000 ? 1.2 : points > 10_000 ? 1.7 : points > 3000 ? 2.4 : 3.4;
  const closer = Math.min(2.2, Math.max(1, zoom ** 0.35));
  const room = Math.sqrt(width * height) / USUAL_SIDE;
  // Of many the larger ones would take longer to draw than a frame lasts.
  const size = points > SOFT ? Math.min(1, room) : room;
  return Math.min(LARGEST, Math.max(SMALLEST, base * closer * size));
}

/** What a point of some radius looks like, one of so many, on a screen that has `density` pixels to one of the page. */
export function discFor(radius: number, points: number, density: number): Disc {
  return disc(radius * density, points > SOFT);
}
