-- One labelled face of the current round's queue that still waits for another judgement: its label was more likely wrong than
-- right when the round ended, nobody said anything of it since, and it has a label still.
-- face_id: the face
-- rank: place in the queue as it was written
-- expression: the label that is in doubt
-- reason: why it stands there
with since as (
  select finished_at from rounds where round = $current_round
)
select e.face_id, min(e.rank) as rank, min(e.expression) as expression, min(e.reason) as reason
from queue_entries e
left semi join (select face_id from label_votes where place = 1 and shared_by = 1) v on e.face_id = v.face_id
left anti join (
  select l.face_id
  from current_labels l
  cross join since s
  where l.created_at > s.finished_at and (l.expression is not null or l.verdict = 'not_a_face')
) j on e.face_id = j.face_id
left anti join unfinished w on e.face_id = w.face_id
where e.round = $current_round and e.lane = 'review'
group by e.face_id
