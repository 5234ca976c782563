-- One face scored by the teacher of one accepted round.
-- round: the round whose teacher scored it
-- face_id: the face
-- expression: most probable class
-- confidence: mean softmax of that class over the weak views, 0 to 1
-- margin: the margin of that class when it was split
-- subset: I where confidence is at or above the margin, else II
-- probabilities: mean softmax over the weak views, in the corpus's class order
-- entropy: entropy of the probabilities, nats
-- top2_gap: difference of the two largest probabilities
-- calibrated_confidence: confidence after temperature scaling on the validation split; null without one
-- mutual_information: how much dropout makes the teacher disagree with itself (BALD), nats; null in rounds of older versions
-- scored_at: when it was scored
select p.round, p.face_id, p.expression, p.confidence, p.margin, p.subset, p.probabilities, p.entropy, p.top2_gap,
       p.calibrated_confidence, p.mutual_information, p.scored_at
from predictions_all p
where p.round in ($accepted_rounds)
