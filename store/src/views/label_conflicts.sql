-- One face about which its deciding origin does not agree with itself.
-- face_id: the face
-- origin: the deciding origin
-- classes: the classes chosen with their votes, most votes first
-- judgements: votes in all
-- tied: whether no class has most votes; a tied face has no label
select face_id, origin,
       string_agg(concat(expression, ' ', cast(votes as varchar)), ', ' order by votes desc, expression) as classes,
       max(judgements) as judgements,
       bool_or(place = 1 and shared_by > 1) as tied
from label_votes
where votes < judgements
group by face_id, origin
