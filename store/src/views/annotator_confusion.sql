-- One annotator's answer where most of the others said something: a cell of a confusion matrix. Each face counts for which
-- the other annotators have one class with most votes.
-- annotator: who
-- expression: what most of the others say: class, or not_a_face
-- given: what this annotator says
-- faces: faces
-- share: part of this annotator's faces of that class, 0 to 1
with shared as (
  select face_id, annotator, expression from annotations where annotators > 1
),
votes as (
  select face_id, expression, count(*) as votes from shared group by face_id, expression
),
others as (
  select s.face_id, s.annotator, s.expression as given, v.expression,
         v.votes - case when v.expression = s.expression then 1 else 0 end as votes
  from shared s
  join votes v on s.face_id = v.face_id
),
ranked as (
  select face_id, annotator, given, expression, rank() over (partition by face_id, annotator order by votes desc) as place
  from others
  where votes > 0
),
decided as (
  select annotator, given, expression, count(*) over (partition by face_id, annotator) as shared_by
  from ranked
  where place = 1
),
counted as (
  select annotator, expression, given, count(*) as faces
  from decided
  where shared_by = 1
  group by annotator, expression, given
)
select annotator, expression, given, faces,
       cast(faces as double) / sum(faces) over (partition by annotator, expression) as share
from counted
