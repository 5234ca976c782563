-- One place in the top of an accepted round's queue, as it was written with the round.
-- round: the round
-- face_id: the face
-- rank: place, from 1
-- lane: queue, audit for the random sample of subset I, or review for labelled faces that want another judgement
-- expression: class of the pseudo-label that an audit checks, or of the label that is in doubt; null in lane queue
-- reason: why it stands there
select q.round, q.face_id, q.rank, q.lane, q.expression, q.reason
from queue_entries_all q
where q.round in ($accepted_rounds)
