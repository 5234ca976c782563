-- One face that may be trained on without a label: nobody decided about it, and it is in no evaluation split.
-- Pseudo-labelled and tied faces are among them.
-- face_id: the face
-- round: the last accepted round, if its teacher scored the face; null here and below otherwise
-- expression: most probable class
-- confidence: mean softmax of that class over the weak views, 0 to 1
-- margin: the margin of that class when it was split
-- subset: I where confidence is at or above the margin, else II
-- entropy: entropy of the probabilities, nats
-- top2_gap: difference of the two largest probabilities
-- calibrated_confidence: confidence after temperature scaling on the validation split
select f.face_id, p.round, p.expression, p.confidence, p.margin, p.subset, p.entropy, p.top2_gap, p.calibrated_confidence
from (select distinct face_id from faces) f
left anti join (select face_id from label_votes where place = 1 and shared_by = 1) v on f.face_id = v.face_id
left anti join face_splits s on f.face_id = s.face_id
left join current_predictions p on f.face_id = p.face_id
