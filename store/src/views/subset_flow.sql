-- One class, with the faces that the last accepted round's teacher predicts so, by where they were in the accepted round
-- before it.
-- expression: class in the last accepted round
-- one_to_one: faces of subset I in both rounds
-- two_to_one: faces that came from subset II to subset I
-- new_to_one: faces of subset I that the round before did not score
-- one_to_two: faces that fell from subset I to subset II
-- two_to_two: faces of subset II in both rounds
-- new_to_two: faces of subset II that the round before did not score
with moved as (
  select l.expression, l.subset as later, coalesce(e.subset, 'new') as earlier, count(*) as faces
  from (select face_id, expression, subset from first_predictions where round = $current_round) l
  left join (select face_id, subset from first_predictions where round = $previous_round) e on l.face_id = e.face_id
  group by l.expression, l.subset, coalesce(e.subset, 'new')
)
select c.expression,
       coalesce(sum(m.faces) filter (where m.later = 'I' and m.earlier = 'I'), 0) as one_to_one,
       coalesce(sum(m.faces) filter (where m.later = 'I' and m.earlier = 'II'), 0) as two_to_one,
       coalesce(sum(m.faces) filter (where m.later = 'I' and m.earlier = 'new'), 0) as new_to_one,
       coalesce(sum(m.faces) filter (where m.later = 'II' and m.earlier = 'I'), 0) as one_to_two,
       coalesce(sum(m.faces) filter (where m.later = 'II' and m.earlier = 'II'), 0) as two_to_two,
       coalesce(sum(m.faces) filter (where m.later = 'II' and m.earlier = 'new'), 0) as new_to_two
from classes c
left join moved m on c.expression = m.expression
group by c.expression
