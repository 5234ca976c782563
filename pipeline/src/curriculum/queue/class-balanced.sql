-- Class-balanced: the predicted classes take turns, those with the fewest labelled faces first, and in each come the
-- faces first whose most probable class is least probable.
with labelled as (
  select expression, count(*) as faces
  from corpus
  where origin in ('human', 'import', 'simulated') and split = 'train'
  group by expression
),
turns as (
  select face_id, expression, confidence,
    row_number() over (partition by expression order by confidence, face_id) as turn
  from candidates
  where subset = 'II'
)
select t.face_id,
  concat(t.expression, ' in its turn: confidence ', cast(round(cast(t.confidence as double), 3) as varchar)) as reason
from turns t
left join labelled l on t.expression = l.expression
order by t.turn, coalesce(l.faces, 0), t.expression
limit $queue_top
