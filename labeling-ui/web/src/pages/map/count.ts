// The map in numbers, for whoever cannot see it or wants to know: faces by class and subset.

import type { FaceMap } from "../../api/types.ts";
import { classOf } from "./groups.ts";

export const COLUMNS = ["I", "II", "not scored"] as const;
export type Column = (typeof COLUMNS)[number];

export interface Line {
  expression: string;
  /** Points of each column. */
  points: Record<Column, number[]>;
}

/** One line for each class, in the order of the corpus; faces that are to be judged blindly are in none. */
export function tabled(map: FaceMap, classes: readonly string[], blind: ReadonlySet<string>): Line[] {
  const lines = new Map<string, Line>();
  const line = (expression: string) => {
    const there = lines.get(expression);
    if (there) return there;
    const made: Line = { expression, points: { I: [], II: [], "not scored": [] } };
    lines.set(expression, made);
    return made;
  };
  classes.forEach(line);
  for (let point = 0; point < map.face_id.length; point += 1) {
    if (blind.has(map.face_id[point] ?? "")) continue;
    const subset = map.subset[point];
    line(classOf(map, point)).points[subset === "I" || subset === "II" ? subset : "not scored"].push(point);
  }
  return [...lines.values()].filter(
    (line) => line.expression !== "" || COLUMNS.some((name) => line.points[name].length),
  );
}
