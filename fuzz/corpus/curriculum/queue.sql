-- The order in which people see subset II of a round.
-- Columns: face_id, reason (for people). The audit sample of subset I is mixed in afterwards, at random.
-- By default the faces nearest below their class's margin come first, the classes taking turns.
select face_id,
  concat(
    'just below the margin of ', expression, ': ',
    cast(round(cast(confidence as double), 3) as varchar), ' < ', cast(round(cast(margin as double), 3) as varchar)
  ) as reason
from (
  select face_id, expression, confidence, margin,
    row_number() over (partition by expression order by margin - confidence, face_id) as turn
  from candidates
  where subset = 'II'
)
order by turn, margin - confidence, face_id
limit $queue_top
