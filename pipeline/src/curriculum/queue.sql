-- The order in which people see subset II of a round.
-- Columns: face_id, reason (for people). The audit sample of subset I is mixed in afterwards, at random.
-- By default the faces nearest below their class's margin come first, the classes taking turns: of the 2,000 nearest the 200
-- that differ most from each other, then the rest. Of those that show nearly the same picture all but the first come last.
-- Other orders are there by name: set `queue` in [curriculum] to random, least-confidence, entropy, margin,
-- margin-distance, class-balanced, typiclust, bald, badge, coreset or maxherding.
with turns as (
  select face_id, expression, confidence, margin,
    row_number() over (partition by expression order by margin - confidence, face_id) as turn
  from candidates
  where subset = 'II'
),
places as (
  select face_id, expression, confidence, margin,
    row_number() over (order by turn, margin - confidence, face_id) as place
  from turns
),
hashes as (
  select p.face_id, p.place, min(f.perceptual_hash) as hash
  from places p
  join faces f on p.face_id = f.face_id
  where p.place <= 3000
  group by p.face_id, p.place
),
held_back as (
  select distinct b.face_id from hashes a join hashes b on a.place < b.place and hamming(a.hash, b.hash) <= 3
)
select p.face_id,
  concat(
    case when d.face_id is not null then 'unlike the others, ' else '' end,
    'just below the margin of ', p.expression, ': ',
    cast(round(cast(p.confidence as double), 3) as varchar), ' < ',
    cast(round(cast(p.margin as double), 3) as varchar)
  ) as reason
from places p
left join diverse(200, 2000) d on p.face_id = d.face_id
left join held_back h on p.face_id = h.face_id
order by h.face_id is not null, d.rank nulls last, p.place
limit $queue_top
