-- One class in one round whose pseudo-labels people checked, blind, on a random sample of the round's subset I. A face that
-- several people judged is right where more than half of them chose its class. The latest audit of a class that has enough
-- faces (round.audit_min_faces) decides whether it keeps its pseudo-labels: withheld until the audit of a later round
-- reaches round.audit_target again.
-- round: the round
-- expression: class of the pseudo-labels
-- audited: faces judged
-- correct: of these, faces whose pseudo-label is right
-- precision: part that is right, 0 to 1
-- low: lower end of its 95 % Wilson interval
-- high: upper end of it
-- withheld: whether this audit decides and its precision is below the target
with judged as (
  select q.round, q.face_id, q.expression,
         avg(case when l.expression = q.expression then 1.0 else 0.0 end) > 0.5 as is_right
  from queue_entries q
  join current_labels l on q.face_id = l.face_id and q.round = l.round
  where q.lane = 'audit' and l.lane = 'audit' and (l.expression is not null or l.verdict = 'not_a_face')
  group by q.round, q.face_id, q.expression
),
counted as (
  select round, expression, count(*) as audited, sum(case when is_right then 1 else 0 end) as correct
  from judged
  group by round, expression
),
measured as (
  select round, expression, audited, correct, cast(correct as double) / audited as precision,
         row_number() over (partition by expression, audited >= $audit_min_faces order by round desc) as place
  from counted
)
select round, expression, audited, correct, precision,
       wilson_low(correct, audited) as low,
       wilson_high(correct, audited) as high,
       audited >= $audit_min_faces and place = 1 and precision < $audit_target as withheld
from measured
