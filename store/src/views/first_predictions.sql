-- One face as the teacher of one accepted round saw it: `predictions` with the first row only of a face that was scored
-- twice.
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
-- scored_at: when it was scored
select round, face_id, expression, confidence, margin, subset, probabilities, entropy, top2_gap, calibrated_confidence,
       scored_at
from (
  select p.round, p.face_id, p.expression, p.confidence, p.margin, p.subset, p.probabilities, p.entropy, p.top2_gap,
         p.calibrated_confidence, p.scored_at,
         row_number() over (partition by p.round, p.face_id order by p.scored_at, p.confidence, p.expression) as place
  from predictions p
)
where place = 1
