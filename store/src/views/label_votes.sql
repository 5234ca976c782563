-- One class that somebody chose for a face, counted within the face's deciding origin: human before import before
-- simulated. Verdict not_a_face counts like a class; unsure and skip are no votes.
-- face_id: the face
-- origin: the deciding origin
-- expression: class, or not_a_face
-- votes: current labels of that origin that say so
-- judgements: current labels of that origin that say anything about the face
-- place: 1 for the class with most votes; equal votes share a place
-- shared_by: how many classes have exactly as many votes; the face is decided where place and shared_by are 1
with counted as (
  select face_id, origin, case origin when 'human' then 1 when 'import' then 2 else 3 end as priority,
         coalesce(expression, verdict) as expression, count(*) as votes
  from current_labels
  where expression is not null or verdict = 'not_a_face'
  group by face_id, origin, coalesce(expression, verdict)
),
-- Each class beside all that were chosen for its face.
compared as (
  select c.face_id, c.origin, c.expression, c.votes, c.priority, min(o.priority) as deciding,
         cast(sum(o.votes) filter (where o.priority = c.priority) as bigint) as judgements,
         1 + count(*) filter (where o.priority = c.priority and o.votes > c.votes) as place,
         count(*) filter (where o.priority = c.priority and o.votes = c.votes) as shared_by
  from counted c
  join counted o on c.face_id = o.face_id
  group by c.face_id, c.origin, c.expression, c.votes, c.priority
)
select face_id, origin, expression, votes, judgements, place, shared_by
from compared
where priority = deciding
