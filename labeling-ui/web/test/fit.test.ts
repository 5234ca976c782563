import { expect, it } from "vitest";
import { shownIn } from "../src/ui/fit.ts";

it("shows a small picture at a whole multiple of its pixels", () => {
  expect(shownIn(432, { width: 48, height: 48 })).toEqual({ width: 432, height: 432, isPixels: true });
  expect(shownIn(432, { width: 100, height: 60 })).toEqual({ width: 400, height: 240, isPixels: true });
});

it("makes a larger one fit, up or down", () => {
  expect(shownIn(432, { width: 864, height: 432 })).toEqual({ width: 432, height: 216, isPixels: false });
  expect(shownIn(432, { width: 216, height: 108 })).toMatchObject({ width: 432, isPixels: true });
  expect(shownIn(432, { width: 240, height: 120 })).toEqual({ width: 432, height: 216, isPixels: false });
});

it("shows nothing before the box or the picture has a size", () => {
  expect(shownIn(0, { width: 48, height: 48 })).toBeNull();
  expect(shownIn(432, { width: 0, height: 0 })).toBeNull();
});
