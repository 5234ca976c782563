-- One face as a round's teacher scored it, for the curriculum's queue.sql: the round under way while it orders its queue,
-- otherwise the last accepted one.
-- face_id: the face
-- round: the round
-- expression: most probable class
-- confidence: mean softmax of that class over the weak views, 0 to 1
-- margin: the margin of that class when it was split
-- subset: I where confidence is at or above the margin, else II
-- probabilities: mean softmax over the weak views, in the corpus's class order
-- entropy: entropy of the probabilities, nats
-- top2_gap: difference of the two largest probabilities
-- calibrated_confidence: confidence after temperature scaling on the validation split; null without one
-- mutual_information: how much dropout makes the teacher disagree with itself (BALD), nats; null in rounds of older versions
select face_id, round, expression, confidence, margin, subset, probabilities, entropy, top2_gap, calibrated_confidence,
       mutual_information
from predictions_all
where round = $candidate_round
