// Faces chosen on the map as a query: all of them by name, and nothing else.

import { quoted } from "../../sql/texts.ts";

/** Letters of a query that the server takes. */
const LONGEST = 60_000;

/** The fewest first letters by which all ids can be told apart: ids are long hashes, and a query has a limit. */
export function lettersToTell(ids: readonly string[]): number {
  const sorted = [...ids].sort();
  let most = 1;
  for (let i = 1; i < sorted.length; i += 1) {
    const [a, b] = [sorted[i - 1] ?? "", sorted[i] ?? ""];
    let same = 0;
    while (same < a.length && a[same] === b[same]) same += 1;
    most = Math.max(most, same + 1);
  }
  return most;
}

/** The query, or null where that many faces do not fit into one. */
export function queryOf(round: number, chosen: readonly string[], letters: number): string | null {
  const names = chosen.map((id) => quoted(id.slice(0, letters)));
  const query = `select m.face_id, p.expression, p.confidence, p.subset, c.expression as label, c.origin, m.x, m.y
from projections m
left join first_predictions p on m.face_id = p.face_id and p.round = m.round
left join corpus c on m.face_id = c.face_id
where m.round = ${round}
  and left(m.face_id, ${letters}) in (${names.join(", ")})
order by p.expression, p.confidence`;
  return query.length <= LONGEST ? query : null;
}
