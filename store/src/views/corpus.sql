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
select l.face_id, l.expression, l.origin, cast(l.votes as real) / cast(l.judgements as real) as confidence,
       cast(null as int unsigned) as round, l.votes, l.judgements, coalesce(s.split, 'train') as split
from label_votes l
left join face_splits s on l.face_id = s.face_id
where l.place = 1 and l.shared_by = 1 and l.expression <> 'not_a_face'
union all
-- Faces of evaluation splits have no pseudo-label.
select face_id, expression, 'pseudo' as origin, confidence, round, cast(null as bigint) as votes,
       cast(null as bigint) as judgements, 'train' as split
from pseudo_labels
