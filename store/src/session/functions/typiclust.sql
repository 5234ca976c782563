-- The pool that `typiclust` chooses from, at random, in the order in which classes first come.
with undecided as (
  select c.face_id, c.expression, md5(c.face_id) as shuffle
  from candidates c
  left anti join (select face_id from label_votes where place = 1 and shared_by = 1) v on c.face_id = v.face_id
  left anti join face_splits s on c.face_id = s.face_id
  where c.subset = 'II'
),
pool as (
  select face_id, expression, shuffle from undecided order by shuffle, face_id limit $pool
)
select p.face_id, p.expression, e.feature
from pool p
join (select face_id, feature from embeddings_all where round = $candidate_round) e on p.face_id = e.face_id
order by p.expression, p.shuffle, p.face_id
