import { describe, expect, it } from "vitest";
import type { FaceMap } from "../src/api/types.ts";
import { tabled } from "../src/pages/map/count.ts";
import { grouped } from "../src/pages/map/groups.ts";
import { filled, isLoop } from "../src/pages/map/lasso.ts";
import { Nearest } from "../src/pages/map/nearest.ts";
import { disc, discFor, over, paint, pixelOf, radiusFor } from "../src/pages/map/paint.ts";
import { lettersToTell, queryOf } from "../src/pages/map/query.ts";
import { boxOf, fit, panned, toMap, toPixel, zoomed } from "../src/pages/map/view.ts";

/** Numbers that look random and are the same every time. */
function drawn(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function points(n: number): { xs: Float32Array; ys: Float32Array } {
  const next = drawn(7);
  const xs = Float32Array.from({ length: n }, () => 200 * next() - 80);
  const ys = Float32Array.from({ length: n }, () => 60 * next() - 30);
  return { xs, ys };
}

describe("view", () => {
  const { xs, ys } = points(500);
  const size = { width: 900, height: 500 };
  const whole = fit(boxOf(xs, ys), size, 20);

  it("shows every point, with a rim", () => {
    for (let i = 0; i < xs.length; i += 1) {
      const [x, y] = toPixel(whole, xs[i] ?? 0, ys[i] ?? 0);
      expect(x).toBeGreaterThanOrEqual(19.9);
      expect(x).toBeLessThanOrEqual(880.1);
      expect(y).toBeGreaterThanOrEqual(19.9);
      expect(y).toBeLessThanOrEqual(480.1);
    }
  });

  it("leads there and back", () => {
    const next = drawn(3);
    let view = whole;
    for (let i = 0; i < 100; i += 1) {
      view = panned(view, 300 * next() - 150, 300 * next() - 150);
      view = zoomed(view, 0.5 + next(), 900 * next(), 500 * next(), whole);
      const [px, py] = [900 * next(), 500 * next()];
      const [x, y] = toMap(view, px, py);
      const [backX, backY] = toPixel(view, x, y);
      expect(backX).toBeCloseTo(px, 6);
      expect(backY).toBeCloseTo(py, 6);
    }
  });

  it("moves with the hand, and y grows upwards", () => {
    const [x, y] = toPixel(whole, 10, 5);
    const [movedX, movedY] = toPixel(panned(whole, 30, -12), 10, 5);
    expect(movedX - x).toBeCloseTo(30, 6);
    expect(movedY - y).toBeCloseTo(-12, 6);
    expect(toPixel(whole, 10, 6)[1]).toBeLessThan(y);
  });

  it("keeps the place under the pointer where it is, at the ends of the scale too", () => {
    for (const factor of [1.3, 0.7, 1e9, 1e-9]) {
      const [x, y] = toMap(whole, 210, 333);
      const closer = zoomed(whole, factor, 210, 333, whole);
      expect(toPixel(closer, x, y)[0]).toBeCloseTo(210, 4);
      expect(toPixel(closer, x, y)[1]).toBeCloseTo(333, 4);
      expect(closer.scale / whole.scale).toBeLessThanOrEqual(400.001);
      expect(closer.scale / whole.scale).toBeGreaterThanOrEqual(0.4999);
    }
  });

  it("has a view of nothing and of one point", () => {
    for (const some of [[], [4]]) {
      const view = fit(boxOf(some, some), size, 20);
      expect(Number.isFinite(view.x0) && Number.isFinite(view.y0) && view.scale > 0).toBe(true);
    }
  });
});

describe("nearest", () => {
  it("finds what a look at all points finds", () => {
    const { xs, ys } = points(3000);
    const nearest = new Nearest(xs, ys, boxOf(xs, ys));
    const next = drawn(11);
    const isWanted = (point: number) => point % 3 !== 0;
    let found = 0;
    for (let i = 0; i < 300; i += 1) {
      const [x, y, reach] = [240 * next() - 100, 80 * next() - 40, 6 * next()];
      let best: number | null = null;
      let shortest = reach * reach;
      for (let point = 0; point < xs.length; point += 1) {
        const far = ((xs[point] ?? 0) - x) ** 2 + ((ys[point] ?? 0) - y) ** 2;
        if (far <= shortest && isWanted(point)) [best, shortest] = [point, far];
      }
      expect(nearest.find(x, y, reach, isWanted)).toBe(best);
      if (best !== null) found += 1;
    }
    expect(found).toBeGreaterThan(100);
  });

  it("answers for no points, and for many in one place", () => {
    expect(new Nearest([], [], boxOf([], [])).find(0, 0, 9, () => true)).toBeNull();
    const same = new Nearest([2, 2, 2], [1, 1, 1], boxOf([2, 2, 2], [1, 1, 1]));
    expect(same.find(2.1, 1, 1, (point) => point === 1)).toBe(1);
  });
});

describe("lasso", () => {
  const inside = (mask: Uint8Array) => mask.reduce((sum, pixel) => sum + pixel, 0);

  it("fills what a line goes around, and no more", () => {
    const square = [[2, 3], [8, 3], [8, 6], [2, 6]] as [number, number][]; // prettier-ignore
    const mask = filled(square, 12, 10);
    expect(inside(mask)).toBe(6 * 3);
    expect([mask[3 * 12 + 2], mask[5 * 12 + 7], mask[3 * 12 + 8], mask[6 * 12 + 5], mask[2 * 12 + 5]]).toEqual([
      1, 1, 0, 0, 0,
    ]);
  });

  it("agrees with the crossing number of each pixel's middle, also outside the window", () => {
    const next = drawn(5);
    const polygon = Array.from({ length: 40 }, () => [60 * next() - 10, 50 * next() - 10] as [number, number]);
    const mask = filled(polygon, 40, 30);
    for (let y = 0; y < 30; y += 1)
      for (let x = 0; x < 40; x += 1) {
        let isIn = false;
        for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
          const [[ax, ay], [bx, by]] = [polygon[i] ?? [0, 0], polygon[j] ?? [0, 0]];
          if (ay > y + 0.5 !== by > y + 0.5 && x + 0.5 < ax + ((y + 0.5 - ay) / (by - ay)) * (bx - ax)) isIn = !isIn;
        }
        expect(mask[y * 40 + x], `${x}, ${y}`).toBe(isIn ? 1 : 0);
      }
    expect(inside(mask)).toBeGreaterThan(50);
  });

  it("takes a click with a shaking hand for none", () => {
    expect(isLoop([[5, 5], [6, 5], [6, 6], [5, 6]])).toBe(false); // prettier-ignore
    expect(isLoop([[5, 5], [30, 5]])).toBe(false); // prettier-ignore
    expect(isLoop([[5, 5], [30, 5], [30, 40]])).toBe(true); // prettier-ignore
  });
});

describe("paint", () => {
  it("draws what is in view, the last on top, and nothing outside", () => {
    const [red, blue, white] = [pixelOf("#ff0000"), pixelOf("#0000ff"), pixelOf("#ffffff")];
    const scene = {
      xs: Float32Array.from([10, 10, 500, 0]),
      ys: Float32Array.from([-10, -10, 0, 0]),
      order: Uint32Array.from([0, 1, 2, 3]),
      colours: Uint32Array.from([red, blue, red, red]),
    };
    const pixels = new Uint32Array(20 * 20);
    paint(pixels, 20, 20, scene, { x0: 0, y0: 0, scale: 1 }, disc(2), white);
    expect(pixels[10 * 20 + 10]).toBe(blue);
    expect(pixels[0]).toBe(red);
    expect(pixels[15 * 20 + 3]).toBe(white);
    expect(pixels[19]).toBe(white);
  });

  it("draws a point at the rim as far as it is inside, sharp or soft", () => {
    const scene = {
      xs: Float32Array.from([0, 19]),
      ys: Float32Array.from([-19, -5]),
      order: Uint32Array.from([0, 1]),
      colours: Uint32Array.from([1, 2]),
    };
    const count = (pixels: Uint32Array, colour: number) => pixels.filter((pixel) => pixel === colour).length;
    const pixels = new Uint32Array(20 * 20);
    paint(pixels, 20, 20, scene, { x0: 0, y0: 0, scale: 1 }, disc(1.2, true), 9);
    // A square of nine, less its corners; in the corner of the window three of them, at its side four.
    expect([count(pixels, 1), count(pixels, 2), count(pixels, 9)]).toEqual([3, 4, 393]);
    expect(disc(3).parts.some((parts) => parts < 256)).toBe(true);
    expect(disc(3, true).parts.every((parts) => parts === 256)).toBe(true);
  });

  it("mixes colours by parts, and reads them", () => {
    const [above, below] = [pixelOf("#ff8000"), pixelOf("#0040ff")];
    expect(over(above, below, 256)).toBe(above);
    expect(over(above, below, 0)).toBe(below);
    expect(over(above, below, 128)).toBe(pixelOf("#7f607f"));
    expect(pixelOf("#1af")).toBe(pixelOf("#11aaff"));
    expect(new Uint8Array(Uint32Array.from([pixelOf(" #0a141e")]).buffer)).toEqual(new Uint8Array([10, 20, 30, 255]));
  });
});

describe("radius", () => {
  const [desktop, phone, huge] = [
    { width: 936, height: 640 },
    { width: 390, height: 281 },
    { width: 2216, height: 1300 },
  ];

  it("is what the number of points asks for on a canvas of usual size", () => {
    expect(radiusFor(1500, 1, { width: 750, height: 750 })).toBe(3.4);
    expect(radiusFor(100_000, 1, { width: 750, height: 750 })).toBe(1.2);
  });

  it("grows with the canvas, but not where so many would take too long to draw", () => {
    const grown = radiusFor(1500, 1, huge) / radiusFor(1500, 1, { width: 750, height: 750 });
    expect(grown).toBeGreaterThan(1.8);
    expect(radiusFor(15_000, 1, huge)).toBeGreaterThan(radiusFor(15_000, 1, desktop));
    expect(radiusFor(100_000, 1, huge)).toBe(1.2);
  });

  it("covers no larger part of a phone's canvas than of a desktop's", () => {
    const covered = (points: number, size: { width: number; height: number }) =>
      radiusFor(points, 1, size) ** 2 / (size.width * size.height);
    for (const points of [100, 1500, 5000])
      expect(covered(points, phone), `${points}`).toBeLessThanOrEqual(covered(points, desktop) * 1.1);
    expect(radiusFor(1500, 1, phone)).toBeCloseTo(1.5, 1);
  });

  it("grows as one goes closer, and stays within what can be seen and told apart", () => {
    for (const size of [desktop, phone, huge]) {
      let before = 0;
      for (const zoom of [0.5, 1, 2, 8, 60, 400]) {
        const radius = radiusFor(1500, zoom, size);
        expect(radius).toBeGreaterThanOrEqual(before);
        before = radius;
      }
      expect(before).toBeLessThanOrEqual(7);
      expect(radiusFor(200_000, 0.5, size)).toBeGreaterThanOrEqual(0.8);
    }
    expect(radiusFor(10, 1, { width: 1, height: 1 })).toBe(0.8);
  });

  it("is as large to the eye on a screen of twice the pixels, and never nothing", () => {
    expect(discFor(2, 100, 1).reach).toBe(2);
    expect(discFor(2, 100, 2).reach).toBe(4);
    expect(discFor(0.8, 100_000, 1).parts.length).toBeGreaterThanOrEqual(1);
  });
});

const map: FaceMap = {
  round: 3,
  face_id: ["a1", "a2", "b1", "b2", "c1"],
  x: [0, 1, 2, 3, 4],
  y: [0, 0, 0, 0, 0],
  predicted: ["fear", "fear", "anger", null, "anger"],
  subset: ["I", "II", "II", null, "I"],
  confidence: [0.9, 0.4, 0.5, null, 0.8],
  label: ["fear", null, "fear", "anger", "anger"],
  origin: ["pseudo", null, "human", "import", "pseudo"],
};
const classes = ["fear", "anger", "disgust"];

describe("groups", () => {
  const named = (by: Parameters<typeof grouped>[1], blind: string[] = []) => {
    const { groups, of, counts } = grouped(map, by, classes, new Set(blind));
    return {
      of: [...of].map((place) => groups[place]?.key),
      counts: Object.fromEntries(groups.flatMap(({ key }, i) => (counts[i] ? [[key, counts[i]]] : []))),
    };
  };

  it("colours by class", () => {
    expect(named("class")).toEqual({
      of: ["fear", "fear", "fear", "anger", "anger"],
      counts: { fear: 3, anger: 2 },
    });
  });

  it("colours by subset and origin", () => {
    expect(named("subset").of).toEqual(["I", "II", "II", "", "I"]);
    expect(named("origin").counts).toEqual({ human: 1, import: 1, pseudo: 2, "": 1 });
  });

  it("calls only somebody's own word a disagreement", () => {
    expect(named("disagreement").of).toEqual(["", "", "other", "", ""]);
  });

  it("says nothing of faces that are judged blindly", () => {
    expect(named("class", ["a2"])).toEqual({
      of: ["fear", "blind", "fear", "anger", "anger"],
      counts: { fear: 2, anger: 2, blind: 1 },
    });
    const [fear] = tabled(map, classes, new Set(["a2"]));
    expect(fear?.points).toEqual({ I: [0], II: [2], "not scored": [] });
  });
});

describe("query", () => {
  it("names faces by as few letters as tell them apart", () => {
    expect(lettersToTell(["abcd", "abce", "b000"])).toBe(4);
    expect(lettersToTell(["a", "b"])).toBe(1);
    expect(lettersToTell(["a"])).toBe(1);
    expect(queryOf(3, ["abcd", "b000"], 4)).toContain("left(m.face_id, 4) in ('abcd', 'b000')");
  });

  it("is none where the server would not take it", () => {
    const ids = Array.from({ length: 9000 }, (_, n) => `${n}`.padStart(12, "0"));
    expect(queryOf(3, ids, 12)).toBeNull();
    expect(queryOf(3, ids.slice(0, 3000), 12)).not.toBeNull();
  });
});
