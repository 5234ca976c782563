import { expect, it } from "vitest";
import { fold, groups } from "../src/pages/grid/fold.ts";

it("folds chains of near faces onto the first in the order", () => {
  const group = groups([
    { face_id: "b", near_id: "a" },
    { face_id: "c", near_id: "b" },
    { face_id: "e", near_id: "d" },
  ]);
  const faces = ["c", "x", "a", "d", "b", "e"].map((face_id) => ({ face_id }));
  const shown = fold(faces, group).map(({ face, others }) => [face.face_id, others.map((other) => other.face_id)]);
  expect(shown).toEqual([
    ["c", ["a", "b"]],
    ["x", []],
    ["d", ["e"]],
  ]);
});

it("folds no more onto one than are confirmed in one go", () => {
  const faces = ["a", "b", "c", "d", "e"].map((face_id) => ({ face_id }));
  const sizes = fold(faces, () => "same", 2).map(({ others }) => 1 + others.length);
  expect(sizes).toEqual([2, 2, 1]);
});
