-- One face as the last accepted round's teacher sees it, faces that arrived since included. A face scored twice has its
-- first row.
-- round: the last accepted round
-- face_id: the face
-- expression: most probable class
-- confidence: mean softmax of that class over the weak views, 0 to 1
-- margin: the margin of that class when it was split
-- subset: I where confidence is at or above the margin, else II
-- probabilities: mean softmax over the weak views, in the corpus's class order
-- entropy: entropy of the probabilities, nats
-- top2_gap: difference of the two largest probabilities
-- calibrated_confidence: confidence after temperature scaling on the validation split; null without one
-- scored_at: when it was scored
select round, face_id, expression, confidence, margin, subset, probabilities, entropy, top2_gap, calibrated_confidence,
       scored_at
from first_predictions
where round = $current_round
