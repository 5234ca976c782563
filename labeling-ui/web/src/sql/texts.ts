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

/** What every accepted round said about a face, and the face itself. */
export function readings(faceId: string): string {
  return `select p.round, p.expression, p.confidence, p.margin, p.subset, p.probabilities
from predictions p
where p.face_id = ${quoted(faceId)}
order by p.round, p.scored_at`;
}

export function arrival(faceId: string): string {
  return `select stream, cast(ingested_at as varchar) as ingested_at
from faces
where face_id = ${quoted(faceId)}`;
}

/** The faces that the teacher finds most alike, with what people or imports say of them where they agree. */
export function nearest(faceId: string, k: number): string {
  return `select n.face_id, n.distance, l.label, l.origin, p.expression as predicted, p.confidence
from nearest(${quoted(faceId)}, ${k}) n
left join (
  select face_id, case when min(expression) = max(expression) then min(expression) end as label, max(origin) as origin
  from current_labels
  where expression is not null
  group by face_id
) l on n.face_id = l.face_id
left join current_predictions p on n.face_id = p.face_id
order by n.rank`;
}

const NOT_CHECKED_BLIND = `face_id not in (
    select face_id from queue_entries
    where lane = 'audit' and round = (select max(round) from round_summary where accepted)
  )`;

export type Side = "over" | "under";

/** Unlabelled faces by predicted class, on both sides of the margin; without those that are checked blind. */
export const UNLABELLED_BY_CLASS = `select expression,
  count(*) filter (where subset = 'I') as over,
  count(*) filter (where subset = 'II') as under
from unlabelled
where expression is not null
  and ${NOT_CHECKED_BLIND}
group by expression`;

export type Order = "margin" | "least" | "most";

/** Unlabelled faces of one predicted class on one side of its margin. */
export function facesOfClass(expression: string, side: Side, order: Order, limit: number): string {
  const closest = side === "over" ? "confidence" : "confidence desc";
  const by = { margin: closest, least: "confidence", most: "confidence desc" }[order];
  return `select face_id, confidence, margin, round, expression
from unlabelled
where expression = ${quoted(expression)}
  and subset = '${side === "over" ? "I" : "II"}'
  and ${NOT_CHECKED_BLIND}
order by ${by}, face_id
limit ${limit}`;
}

/** Unlabelled faces that the teacher finds most like one face. */
export function facesLike(faceId: string, k: number): string {
  return `select n.face_id, u.confidence, u.margin, u.round, u.expression
from nearest(${quoted(faceId)}, ${k}) n
join unlabelled u on n.face_id = u.face_id
where n.${NOT_CHECKED_BLIND}
order by n.rank`;
}

export const NEAR_DUPLICATES = "select face_id, near_id from near_duplicates";

export function histogram(expression: string): string {
  return `select low, high, count, subset_one
from confidence_histogram
where expression = ${quoted(expression)}
order by low`;
}

/** The audits of one class, the newest first. */
export function auditsOf(expression: string): string {
  return `select round, audited, correct, precision, low, high, withheld
from pseudo_label_audit
where expression = ${quoted(expression)} and audited > 0
order by round desc`;
}

export function epochs(round: number): string {
  return `select epoch, loss, loss_supervised, loss_unlabelled, loss_contrastive, subset_one, subset_two,
  validation_accuracy, validation_macro_f1, seconds
from epochs
where round = ${round}
order by epoch`;
}

export function margins(round: number): string {
  return `select epoch, expression, margin
from margins
where round = ${round}
order by epoch`;
}

export function audits(round: number): string {
  return `select expression, audited, correct, precision, low, high, withheld
from pseudo_label_audit
where round = ${round}
order by expression`;
}

/** Validation of every finished round, accuracy with its 95 % interval. */
export const VALIDATION = `select round, accepted, validation_macro_f1, validation_accuracy,
  wilson_low(cast(round(validation_accuracy * validation) as bigint), validation) as low,
  wilson_high(cast(round(validation_accuracy * validation) as bigint), validation) as high,
  validation as faces
from rounds
where validation_accuracy is not null
order by round`;

/** How a round was run. */
export function settings(round: number): string {
  return `select round, seed, "trigger", validation, cast(started_at as varchar) as started_at, config
from rounds
where round = ${round}`;
}

/** Faces that a round reads as each class, by whether the accepted round before it had them over the margin; no row
 * where there is none before it. */
export function subsetFlow(round: number): string {
  return `with before as (select max(round) as round from rounds where accepted and round < ${round})
select l.expression,
  count(*) filter (where l.subset = 'I' and coalesce(e.subset, '') <> 'I') as came_in,
  count(*) filter (where l.subset = 'II' and e.subset = 'I') as fell_out,
  count(*) filter (where l.subset = 'I' and e.subset = 'I') as stayed_in,
  count(*) filter (where l.subset = 'II' and coalesce(e.subset, '') <> 'I') as stayed_out
from (select face_id, expression, subset from first_predictions where round = ${round}) l
left join (
  select face_id, subset from first_predictions where round = (select round from before)
) e on l.face_id = e.face_id
where (select round from before) is not null
group by l.expression
order by l.expression`;
}

/** What the next round waits for, counted as its trigger does: every row of labels since the last round began or was
 * given up, skips and what takes labels back among them. */
export const LABELS_SINCE_ROUND = `select count(*) as n
from labels
where created_at > greatest(
  (select max(started_at) from rounds),
  (select max(changed_at) from audit_log where action = 'round_given_up'))`;

export const CATALOGUE = `select table_name, column_name, data_type
from information_schema.columns
where table_schema <> 'information_schema'
order by table_name, ordinal_position`;

export const FINISHED_ROUNDS = "select round from rounds order by round desc";

export const BALANCE = `select expression, human, imported, simulated, pseudo, total
from class_balance`;

export const SIZE = `select
  (select count(*) from faces) as faces,
  (select count(*) from unlabelled) as unlabelled,
  (select max(round) from round_summary where accepted) as round`;

/** What each round had, and when: labels of people and imports, faces over the margin, faces below it. */
export const GROWTH = `select round, cast(finished_at as varchar) as finished_at, labelled, subset_one, subset_two
from rounds
where accepted
order by round`;

export const HISTOGRAMS = `select h.expression, h.low, h.high, h.count, h.subset_one, m.margin
from confidence_histogram h
join margin_vs_confidence m on h.expression = m.expression
order by h.expression, h.low`;

/** How often the model was right where it was so sure, on faces that were labelled after it had spoken. */
export const CALIBRATION = `select floor(p.confidence * 10) / 10 as low, count(*) as faces,
  avg(p.confidence) as confidence,
  avg(case when p.expression = c.expression then 1.0 else 0.0 end) as accuracy
from out_of_sample_predictions p
join corpus c on p.face_id = c.face_id
where c.origin <> 'pseudo'
group by 1
order by 1`;

export const DRIFT = `select round, expression, mean_confidence, subset_one_share, faces
from confidence_drift
order by round`;

export const HARDEST = `select expression, checked, correct, recall, low, high, mistaken_for, mistakes
from hardest_classes
where checked > 0
order by rank`;

/** Faces about which people do not agree, undecided ones first; without those that the queue asks others about. */
export const DISPUTES = `select c.face_id, c.classes, c.judgements, c.tied, p.expression as predicted,
  p.confidence, p.margin
from label_conflicts c
left anti join unfinished u on c.face_id = u.face_id
left anti join second_opinions s on c.face_id = s.face_id
left join current_predictions p on c.face_id = p.face_id
order by c.tied desc, c.judgements desc, c.face_id
limit 500`;

/** Labels that are more likely wrong than right, the least likely first; without those that the queue asks about. */
export const DOUBTS = `select r.face_id, r.expression, r.origin, r.quality, r.votes, r.annotators, r.predicted,
  r.confidence
from relabel_candidates r
left anti join second_opinions s on r.face_id = s.face_id
left anti join unfinished u on r.face_id = u.face_id
order by r.rank
limit 500`;

/** What stands about a face, the oldest first. */
export function judgementsOf(faceId: string): string {
  return `select annotator, origin, coalesce(expression, verdict) as says, seconds, note, votes
from current_labels
where face_id = ${quoted(faceId)}
order by created_at`;
}

export const CONFUSION = `select annotator, expression, given, faces, share
from annotator_confusion
order by annotator, expression, given`;

export const AGREEMENT = `select krippendorff_alpha(face_id, annotator, expression) as alpha,
  count(distinct annotator) as annotators
from annotations`;

/** Faces that show nearly the same picture as one. */
export function duplicatesOf(faceId: string): string {
  return `select case when face_id = ${quoted(faceId)} then near_id else face_id end as face_id, distance
from near_duplicates
where face_id = ${quoted(faceId)} or near_id = ${quoted(faceId)}
order by distance`;
}

/** When what was said about a face was said, the newest first. */
export function saidAbout(faceId: string): string {
  return `select label_id, cast(created_at as varchar) as created_at, seconds
from labels
where face_id = ${quoted(faceId)} and retracts is null
order by created_at desc`;
}

/** Accepted rounds with the faces on their maps, the newest first. */
export const MAPS = `select r.round, count(m.face_id) as faces
from rounds r
left join projections m on r.round = m.round
where r.accepted
group by r.round
order by r.round desc`;

/** Faces that people judge without anybody's word: in this round's blind lanes, and where more judgements are due. */
export const JUDGED_BLIND = `select face_id
from queue_entries
where lane <> 'queue' and round = (select max(round) from round_summary where accepted)
union all
select face_id
from unfinished`;

/** Some faces, with what the model and people say of them now; without those that are judged blindly. */
export function facesOf(faceIds: readonly string[]): string {
  return `select f.face_id, p.confidence, p.margin, p.round, p.expression, c.expression as label, c.origin
from faces f
left join current_predictions p on f.face_id = p.face_id
left join corpus c on f.face_id = c.face_id
where f.face_id in (${faceIds.map(quoted).join(", ")})
  and f.face_id not in (${JUDGED_BLIND})`;
}

/** Flags of a face that stand, the newest first. */
export function flagsOf(faceId: string): string {
  return `select flag_id, face_id, annotator, note, cast(created_at as varchar) as created_at
from flagged
where face_id = ${quoted(faceId)}
order by created_at desc`;
}
