import { expect, it } from "vitest";
import { csv } from "../src/pages/sql/csv.ts";
import { wrongAt } from "../src/pages/sql/wrong.ts";

it("quotes what needs quotes, and leaves nulls empty", () => {
  const rows = [
    { a: 'say "no"', b: 1, c: null },
    { a: "x,y", b: 0.5, c: [1, 2] },
  ];
  expect(csv(["a", "b", "c"], rows)).toBe('a,b,c\r\n"say ""no""",1,\r\n"x,y",0.5,"[1,2]"\r\n');
});

it("finds the place in an error, whoever wrote it", () => {
  expect(wrongAt("No field named x. (line 2, column 8)")).toEqual({ line: 2, column: 8 });
  expect(wrongAt("found: selec at Line: 1, Column: 3")).toEqual({ line: 1, column: 3 });
  expect(wrongAt("nothing of the kind")).toBeNull();
});
