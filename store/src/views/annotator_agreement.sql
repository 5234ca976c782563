-- Two annotators who judged some of the same faces. For all annotators at once there is
-- `krippendorff_alpha(face_id, annotator, expression)` over `annotations`.
-- annotator: the first of the two by name
-- other: the second
-- faces: faces that both judged
-- agreed: faces about which they say the same
-- agreement: part of the faces, 0 to 1
-- low: lower end of its 95 % Wilson interval
-- high: upper end of it
-- kappa: Cohen's kappa, agreement beyond chance; null where both always say the same one thing
with pairs as (
  select a.annotator, b.annotator as other, a.expression as one, b.expression as two, count(*) as faces
  from annotations a
  join annotations b on a.face_id = b.face_id and a.annotator < b.annotator
  group by a.annotator, b.annotator, a.expression, b.expression
),
-- What each of the two said how often: every pair of answers stands on both sides.
sides as (
  select p.annotator, p.other, case s.side when 1 then p.one else p.two end as expression,
         coalesce(sum(p.faces) filter (where s.side = 1), 0) as ones,
         coalesce(sum(p.faces) filter (where s.side = 2), 0) as twos,
         coalesce(sum(p.faces) filter (where s.side = 1 and p.one = p.two), 0) as agreed
  from pairs p
  cross join (values (1), (2)) as s(side)
  group by p.annotator, p.other, case s.side when 1 then p.one else p.two end
),
counted as (
  select annotator, other, cast(sum(ones) as bigint) as faces, cast(sum(agreed) as bigint) as agreed,
         sum(cast(ones as double) * cast(twos as double)) as products
  from sides
  group by annotator, other
),
shares as (
  select annotator, other, faces, agreed, cast(agreed as double) / faces as agreement,
         products / (cast(faces as double) * faces) as by_chance
  from counted
)
select annotator, other, faces, agreed, agreement, wilson_low(agreed, faces) as low, wilson_high(agreed, faces) as high,
       (agreement - by_chance) / nullif(1.0 - by_chance, 0.0) as kappa
from shares
