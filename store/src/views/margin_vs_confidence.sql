-- One class, with its margin among the confidences of the current predictions.
-- expression: predicted class
-- faces: faces predicted so
-- margin: the margin they were split by; null, here and below, without a face
-- mean_confidence: mean of their confidences
-- low_quartile: a quarter of the confidences is at or below this
-- median: half of them is
-- high_quartile: three quarters are
-- subset_one_share: part at or above the margin, 0 to 1
-- near_margin: faces less than 0.05 away from it, on either side
with measured as (
  select expression, count(*) as faces, max(margin) as margin, avg(cast(confidence as double)) as mean_confidence,
         percentile_cont(0.25) within group (order by cast(confidence as double)) as low_quartile,
         percentile_cont(0.5) within group (order by cast(confidence as double)) as median,
         percentile_cont(0.75) within group (order by cast(confidence as double)) as high_quartile,
         cast(count(*) filter (where subset = 'I') as double) / count(*) as subset_one_share,
         count(*) filter (where margin_distance(confidence, margin) < 0.05) as near_margin
  from current_predictions
  group by expression
)
select c.expression, coalesce(m.faces, 0) as faces, m.margin, m.mean_confidence, m.low_quartile, m.median, m.high_quartile,
       m.subset_one_share, coalesce(m.near_margin, 0) as near_margin
from classes c
left join measured m on c.expression = m.expression
