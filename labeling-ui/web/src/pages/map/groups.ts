// What the map is coloured by: each way puts every point into one group, which has a name, a colour, and a place in the
// legend.

import type { FaceMap } from "../../api/types.ts";
import { colourOf } from "../../design/colours.ts";

export type By = "class" | "subset" | "origin" | "disagreement";

export const WAYS: readonly { by: By; title: string; more: string }[] = [
  { by: "class", title: "Class", more: "a face's label, or else what the model reads" },
  { by: "subset", title: "Subset", more: "I is over the margin of its class, II below" },
  { by: "origin", title: "Origin of the label", more: "whose word a face's label is" },
  { by: "disagreement", title: "Model against label", more: "what the model reads, and people and imports say" },
];

export interface Group {
  /** As the data has it. */
  key: string;
  name: string;
  /** A colour of the design, such as `--c-fear`. */
  token: string;
}

export interface Grouping {
  groups: Group[];
  /** The group of each point, by its place in `groups`. */
  of: Uint8Array;
  counts: number[];
}

/** A face that people judge without the model's word shows nothing of it here either. */
const BLIND: Group = { key: "blind", name: "judged blindly", token: "--edge" };
const NONE = "";

const SUBSETS: Group[] = [
  { key: "I", name: "I, over the margin", token: "--one" },
  { key: "II", name: "II, below it", token: "--two" },
  { key: NONE, name: "not scored", token: "--edge" },
];
export const ORIGINS: Group[] = [
  { key: "human", name: "people", token: "--human" },
  { key: "import", name: "imports", token: "--import" },
  { key: "simulated", name: "simulated", token: "--import" },
  { key: "pseudo", name: "pseudo-labels", token: "--pseudo" },
  { key: NONE, name: "no label", token: "--edge" },
];
const AGREEMENTS: Group[] = [
  { key: "other", name: "the model reads another class", token: "--bad" },
  { key: "same", name: "the same class", token: "--two" },
  { key: NONE, name: "one of them is missing", token: "--line" },
];

/** The class that a point stands for. */
export function classOf(map: FaceMap, point: number): string {
  return map.label[point] ?? map.predicted[point] ?? NONE;
}

/** Whether a label is somebody's word rather than the model's own. */
export function isGiven(origin: string | null | undefined): boolean {
  return origin != null && origin !== "pseudo";
}

function keyOf(map: FaceMap, by: By, point: number): string {
  const label = isGiven(map.origin[point]) ? map.label[point] : null;
  const predicted = map.predicted[point];
  switch (by) {
    case "class":
      return classOf(map, point);
    case "subset":
      return map.subset[point] ?? NONE;
    case "origin":
      return map.origin[point] ?? NONE;
    case "disagreement":
      return label && predicted ? (label === predicted ? "same" : "other") : NONE;
  }
}

function known(map: FaceMap, by: By, classes: readonly string[]): Group[] {
  switch (by) {
    case "class": {
      const there = new Set(classes);
      for (let point = 0; point < map.face_id.length; point += 1) {
        const name = classOf(map, point);
        if (name) there.add(name);
      }
      const named = [...there].map((name) => ({ key: name, name, token: /--[\w-]+/.exec(colourOf(name))?.[0] ?? "" }));
      return [...named, { key: NONE, name: "no class", token: "--edge" }];
    }
    case "subset":
      return SUBSETS;
    case "origin":
      return ORIGINS;
    case "disagreement":
      return AGREEMENTS;
  }
}

/** Puts every point into its group. */
export function grouped(map: FaceMap, by: By, classes: readonly string[], blind: ReadonlySet<string>): Grouping {
  const groups = [...known(map, by, classes), BLIND];
  const places = new Map(groups.map(({ key }, place) => [key, place]));
  const counts = groups.map(() => 0);
  const of = Uint8Array.from(map.face_id, (id, point) => {
    const key = blind.has(id) ? BLIND.key : keyOf(map, by, point);
    const place = places.get(key) ?? places.get(NONE) ?? 0;
    counts[place] = (counts[place] ?? 0) + 1;
    return place;
  });
  return { groups, of, counts };
}
