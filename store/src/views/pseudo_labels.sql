-- One pseudo-label: subset I of the current predictions, without faces that anybody gave a label or a verdict, tied ones
-- included, without faces of an evaluation split, and without the classes that `pseudo_label_audit` withholds.
-- face_id: the face
-- round: the round whose teacher gave it
-- expression: class
-- confidence: mean softmax of that class over the weak views, 0 to 1
-- margin: the margin it reached
-- calibrated_confidence: confidence after temperature scaling on the validation split; null without one
-- scored_at: when it was scored
select p.face_id, p.round, p.expression, p.confidence, p.margin, p.calibrated_confidence, p.scored_at
from current_predictions p
left anti join (
  select face_id from current_labels where expression is not null or verdict = 'not_a_face'
) l on p.face_id = l.face_id
left anti join face_splits s on p.face_id = s.face_id
left anti join (select expression from pseudo_label_audit where withheld) w on p.expression = w.expression
where p.subset = 'I'
