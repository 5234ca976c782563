// Near-duplicates are folded: one face stands for all that show nearly the same picture.

/** Pairs of near faces become groups; each id leads to its group's first one. */
export function groups(pairs: readonly { face_id: string; near_id: string }[]): (id: string) => string {
  const parent = new Map<string, string>();
  const root = (id: string): string => {
    let at = id;
    for (let next = parent.get(at); next !== undefined && next !== at; next = parent.get(at)) at = next;
    return at;
  };
  for (const { face_id, near_id } of pairs) {
    const [a, b] = [root(face_id), root(near_id)];
    if (a !== b) parent.set(a, b);
  }
  return root;
}

export interface Folded<T> {
  /** The one that is shown. */
  face: T;
  /** The others. */
  others: T[];
}

/** Folds faces of one group onto the first of them in the order given, `most` onto one at most. */
export function fold<T extends { face_id: string }>(
  faces: readonly T[],
  group: (id: string) => string,
  most = 500,
): Folded<T>[] {
  const all: Folded<T>[] = [];
  const open = new Map<string, Folded<T>>();
  for (const face of faces) {
    const key = group(face.face_id);
    const there = open.get(key);
    if (there && there.others.length + 1 < most) {
      there.others.push(face);
      continue;
    }
    const folded: Folded<T> = { face, others: [] };
    open.set(key, folded);
    all.push(folded);
  }
  return all;
}
