-- One annotator's say about one face, whatever its origin: what agreement and label quality are computed from. Verdict
-- not_a_face counts like a class; unsure and skip are no say. An annotator whose current labels of a face contradict each
-- other, as an import's sightings may, has no say about it.
-- face_id: the face
-- annotator: who
-- expression: class, or not_a_face
-- annotators: how many have a say about the face
-- first_at: when the first of them judged it
select face_id, annotator, expression, count(*) over (partition by face_id) as annotators,
       min(judged_at) over (partition by face_id) as first_at
from (
  select face_id, annotator, min(coalesce(expression, verdict)) as expression, min(created_at) as judged_at
  from current_labels
  where expression is not null or verdict = 'not_a_face'
  group by face_id, annotator
  having min(coalesce(expression, verdict)) = max(coalesce(expression, verdict))
)
