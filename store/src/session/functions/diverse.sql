-- The pool that `diverse` chooses from, in the order in which people would see it, with features.
with undecided as (
  select c.face_id, c.margin - c.confidence as below,
         row_number() over (partition by c.expression order by c.margin - c.confidence, c.face_id) as turn
  from candidates c
  left anti join (select face_id from label_votes where place = 1 and shared_by = 1) v on c.face_id = v.face_id
  left anti join face_splits s on c.face_id = s.face_id
  where c.subset = 'II'
),
pool as (
  select face_id, turn, below from undecided order by turn, below, face_id limit $pool
)
select p.face_id, e.feature
from pool p
join (select face_id, feature from embeddings_all where round = $candidate_round) e on p.face_id = e.face_id
order by p.turn, p.below, p.face_id
