-- The pool that `coreset` and `maxherding` choose from, at random, and as many labelled faces, which count as chosen.
with decided as (
  select face_id from label_votes where place = 1 and shared_by = 1
),
undecided as (
  select c.face_id, md5(c.face_id) as shuffle
  from candidates c
  left anti join decided d on c.face_id = d.face_id
  left anti join face_splits s on c.face_id = s.face_id
  where c.subset = 'II'
),
labelled as (
  select d.face_id, md5(d.face_id) as shuffle
  from decided d
  left anti join face_splits s on d.face_id = s.face_id
),
pool as (
  (select face_id, shuffle, false as labelled from undecided order by shuffle, face_id limit $pool)
  union all
  (select face_id, shuffle, true as labelled from labelled order by shuffle, face_id limit $pool)
)
select p.face_id, p.labelled, e.feature
from pool p
join (select face_id, feature from embeddings_all where round = $candidate_round) e on p.face_id = e.face_id
order by p.shuffle, p.face_id
