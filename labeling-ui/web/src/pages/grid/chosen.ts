// A list of faces that another page chose, asked for in parts: a query has a limit.

import { sql } from "../../api/calls.ts";
import { facesOf } from "../../sql/texts.ts";

/** Faces of one grid. */
export const LARGEST = 3000;
/** Faces that one query names. */
const AT_ONCE = 800;

export async function readFaces<R extends { face_id: string }>(ids: readonly string[]): Promise<R[]> {
  const parts: Promise<R[]>[] = [];
  for (let from = 0; from < Math.min(ids.length, LARGEST); from += AT_ONCE) {
    const some = ids.slice(from, Math.min(from + AT_ONCE, LARGEST));
    parts.push(sql<R>(facesOf(some)).then(({ rows }) => rows));
  }
  return (await Promise.all(parts)).flat();
}
