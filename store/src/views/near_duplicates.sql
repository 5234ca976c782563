-- One face that shows nearly the same picture as another: their perceptual hashes differ in at most 3 of 64 bits. A face
-- whose hash an earlier one has stands beside that one only, so that copies make rows, not pairs. Two hashes that differ in
-- 3 bits agree in at least two of five bands of bits, so only those that share two bands are compared (multi-index hashing,
-- Norouzi, Punjani and Fleet 2012); where more than 1,000 hashes share two bands, as hashes of nearly blank pictures may,
-- those are not.
-- face_id: the face
-- near_id: the face it is near: the first to come with the same hash, or the first to come with a near one
-- distance: bits in which their hashes differ
-- split: train, validation or test
-- near_split: split of the other face
with distinct_faces as (
  select face_id, min(perceptual_hash) as hash, min(ingested_at) as ingested_at from faces group by face_id
),
placed as (
  select face_id, hash,
         first_value(face_id) over (partition by hash order by ingested_at, face_id) as near_id,
         row_number() over (partition by hash order by ingested_at, face_id) as place
  from distinct_faces
),
masks as (
  select cast(a.value * 5 + b.value as tinyint) as bands,
         (cast(8191 as bigint unsigned) << cast(13 * a.value as bigint unsigned))
           | (cast(8191 as bigint unsigned) << cast(13 * b.value as bigint unsigned)) as mask
  from generate_series(0, 4) a
  cross join generate_series(0, 4) b
  where a.value < b.value
),
keyed as (
  select hash, bands, hash & mask as key, count(*) over (partition by bands, hash & mask) as shared_by
  from (select distinct hash from distinct_faces)
  cross join masks
),
shared as (
  select hash, bands, key from keyed where shared_by between 2 and 1000
),
near as (
  select distinct a.hash, b.hash as near_hash
  from shared a
  join shared b on a.bands = b.bands and a.key = b.key
  where a.hash < b.hash and hamming(a.hash, b.hash) <= 3
),
found as (
  select face_id, near_id, 0 as distance from placed where place > 1
  union all
  select greatest(a.face_id, b.face_id) as face_id, least(a.face_id, b.face_id) as near_id,
         hamming(n.hash, n.near_hash) as distance
  from near n
  join (select face_id, hash from placed where place = 1) a on n.hash = a.hash
  join (select face_id, hash from placed where place = 1) b on n.near_hash = b.hash
)
select r.face_id, r.near_id, r.distance, coalesce(s.split, 'train') as split, coalesce(o.split, 'train') as near_split
from found r
left join face_splits s on r.face_id = s.face_id
left join face_splits o on r.near_id = o.face_id
