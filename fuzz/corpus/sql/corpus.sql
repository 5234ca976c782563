-- One face with a current label. A human label comes before an imported one, that before a simulated one, that before a
-- pseudo-label; within an origin the majority decides. A tied face and one that is not a face have no row.
-- face_id: the face
-- expression: class
-- origin: human, import, simulated or pseudo
-- confidence: share of the origin's votes that the class has; for a pseudo-label the prediction's confidence
-- round: for a pseudo-label the round that gave it
-- votes: votes for the class; null for a pseudo-label
-- judgements: votes of that origin in all; null for a pseudo-label
-- split: train, validation or test
with labelled as (
  select face_id, expression, origin, cast(votes as real) / cast(judgements as real) as confidence,
         cast(null as int unsigned) as round, votes, judgements
  from label_votes
  where place = 1 and shared_by = 1 and expression <> 'not_a_face'
  union all
  select face_id, expression, 'pseudo' as origin, confidence, round, cast(null as bigint) as votes,
         cast(null as bigint) as judgements
  from pseudo_labels
)
select l.face_id, l.expression, l.origin, l.confidence, l.round, l.votes, l.judgements,
       coalesce(s.split, 'train') as split
from labelled l
left join face_splits s on l.face_id = s.face_id
