-- One face whose class changed between the last accepted round and the accepted one before it. `flips(from_round, to_round)`
-- compares any two.
-- face_id: the face
-- from_round: the earlier round
-- to_round: the later round
-- from_expression: most probable class in the earlier round
-- to_expression: most probable class in the later round
-- from_confidence: confidence in that class in the earlier round
-- to_confidence: confidence in that class in the later round
-- from_subset: subset in the earlier round
-- to_subset: subset in the later round
select l.face_id, e.round as from_round, l.round as to_round, e.expression as from_expression,
       l.expression as to_expression, e.confidence as from_confidence, l.confidence as to_confidence,
       e.subset as from_subset, l.subset as to_subset
from (
  select face_id, round, expression, confidence, subset from first_predictions where round = $previous_round
) e
join (
  select face_id, round, expression, confidence, subset from first_predictions where round = $current_round
) l on e.face_id = l.face_id
where e.expression <> l.expression
