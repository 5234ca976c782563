-- One class's margin after one epoch, over all finished rounds.
-- round: the round
-- accepted: whether the gate let the round through
-- epoch: epoch within the round, from 1
-- t: training epochs so far
-- expression: class
-- mean_confidence: mean confidence of the labelled samples predicted so and right; null without one
-- margin: the margin for the next epoch
-- right_count: how many labelled samples were predicted so and right
select m.round, r.accepted, m.epoch, m.t, m.expression, m.mean_confidence, m.margin, m.right_count
from margins m
join rounds r on m.round = r.round
