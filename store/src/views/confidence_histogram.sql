-- One class and one of 20 equal bins of confidence, empty ones included, over the current predictions.
-- expression: predicted class
-- low: lower end of the bin, belongs to it
-- high: upper end of the bin, belongs to the next (1 to the last)
-- count: faces in it
-- subset_one: of these in subset I
-- subset_two: of these in subset II
with bins as (
  select value as bin from generate_series(0, 19)
),
binned as (
  select expression, cast(least(floor(confidence * cast(20 as real)), 19) as bigint) as bin, count(*) as faces,
         count(*) filter (where subset = 'I') as subset_one, count(*) filter (where subset = 'II') as subset_two
  from current_predictions
  where confidence >= 0
  group by expression, cast(least(floor(confidence * cast(20 as real)), 19) as bigint)
)
select c.expression, b.bin / 20.0 as low, (b.bin + 1) / 20.0 as high,
       coalesce(p.faces, 0) as count,
       coalesce(p.subset_one, 0) as subset_one,
       coalesce(p.subset_two, 0) as subset_two
from classes c
cross join bins b
left join binned p on c.expression = p.expression and b.bin = p.bin
