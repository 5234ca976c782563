// What a line drawn around points takes in: the polygon is filled once, and each point is looked up in it, which is
// many times faster than asking the polygon about each point.

export type Polygon = readonly (readonly [number, number])[];

/** The pixels inside a polygon (even-odd), 1 for each; a pixel is in if its middle is. */
export function filled(polygon: Polygon, width: number, height: number): Uint8Array {
  const mask = new Uint8Array(width * height);
  const crossings: number[] = [];
  for (let row = 0; row < height; row += 1) {
    const y = row + 0.5;
    crossings.length = 0;
    for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
      const [ax, ay] = polygon[i] ?? [0, 0];
      const [bx, by] = polygon[j] ?? [0, 0];
      if (ay > y !== by > y) crossings.push(ax + ((y - ay) / (by - ay)) * (bx - ax));
    }
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil((crossings[i] ?? 0) - 0.5));
      const to = Math.min(width - 1, Math.ceil((crossings[i + 1] ?? 0) - 0.5) - 1);
      if (to >= from) mask.fill(1, row * width + from, row * width + to + 1);
    }
  }
  return mask;
}

/** Whether a line goes around anything at all, or was a click with a shaking hand. */
export function isLoop(polygon: Polygon): boolean {
  const [xs, ys] = [polygon.map(([x]) => x), polygon.map(([, y]) => y)];
  return polygon.length > 2 && Math.max(...xs) - Math.min(...xs) > 4 && Math.max(...ys) - Math.min(...ys) > 4;
}
