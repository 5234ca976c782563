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
select c.expression, count(p.face_id) as faces, max(p.margin) as margin,
       avg(cast(p.confidence as double)) as mean_confidence,
       percentile_cont(0.25) within group (order by cast(p.confidence as double)) as low_quartile,
       percentile_cont(0.5) within group (order by cast(p.confidence as double)) as median,
       percentile_cont(0.75) within group (order by cast(p.confidence as double)) as high_quartile,
       cast(count(*) filter (where p.subset = 'I') as double) / nullif(count(p.face_id), 0) as subset_one_share,
       count(*) filter (where margin_distance(p.confidence, p.margin) < 0.05) as near_margin
from classes c
left join current_predictions p on c.expression = p.expression
group by c.expression
