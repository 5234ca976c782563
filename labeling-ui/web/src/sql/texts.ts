// Every question that the pages ask in SQL. "Show SQL" shows these very texts, so what is drawn can be asked again.

/** Quotes a text for SQL. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export const CLASSES = "select expression from classes order by position";

/** The margin that each class has now. */
export const MARGINS_NOW = `select expression, margin
from margin_history
where round = (select max(round) from round_summary where accepted)
  and epoch = (select max(epoch) from epochs where round = (select max(round) from round_summary where accepted))`;

/** How many faces somebody judged since a moment. */
export function judgedSince(annotator: string, since: Date): string {
  return `select count(distinct face_id) as n
from current_labels
where annotator = ${quoted(annotator)} and created_at >= timestamp ${quoted(since.toISOString())}`;
}
