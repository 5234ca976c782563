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
  select a.annotator, b.annotator as other, a.expression as one, b.expression as two
  from (select face_id, annotator, expression from annotations where annotators > 1) a
  join (select face_id, annotator, expression from annotations where annotators > 1) b
    on a.face_id = b.face_id and a.annotator < b.annotator
),
counted as (
  select annotator, other, count(*) as faces, count(*) filter (where one = two) as agreed
  from pairs
  group by annotator, other
),
ones as (
  select annotator, other, one as expression, count(*) as faces from pairs group by annotator, other, one
),
twos as (
  select annotator, other, two as expression, count(*) as faces from pairs group by annotator, other, two
),
chance as (
  select o.annotator, o.other, sum(cast(o.faces as double) * t.faces) as products
  from ones o
  join twos t on o.annotator = t.annotator and o.other = t.other and o.expression = t.expression
  group by o.annotator, o.other
),
shares as (
  select c.annotator, c.other, c.faces, c.agreed, cast(c.agreed as double) / c.faces as agreement,
         coalesce(h.products, 0.0) / (cast(c.faces as double) * c.faces) as by_chance
  from counted c
  left join chance h on c.annotator = h.annotator and c.other = h.other
)
select annotator, other, faces, agreed, agreement, wilson_low(agreed, faces) as low, wilson_high(agreed, faces) as high,
       (agreement - by_chance) / nullif(1.0 - by_chance, 0.0) as kappa
from shares
