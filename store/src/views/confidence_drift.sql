-- One class in one accepted round, with what changed since the accepted round before it. A face that was scored twice
-- counts twice here.
-- round: the round
-- previous_round: the accepted round before it; null for the first
-- expression: predicted class
-- faces: faces predicted so
-- mean_confidence: their mean confidence; null without one
-- previous_mean_confidence: the same in the round before
-- drift: difference of the two
-- subset_one_share: part of them in subset I, 0 to 1; null without one
-- previous_subset_one_share: the same in the round before
with measured as (
  select round, expression, count(*) as faces, avg(cast(confidence as double)) as mean_confidence,
         cast(count(*) filter (where subset = 'I') as double) / count(*) as subset_one_share
  from predictions
  group by round, expression
),
ordered as (
  select n.round, c.expression, coalesce(m.faces, 0) as faces, m.mean_confidence, m.subset_one_share,
         lag(n.round) over (partition by c.expression order by n.round) as previous_round,
         lag(m.mean_confidence) over (partition by c.expression order by n.round) as previous_mean_confidence,
         lag(m.subset_one_share) over (partition by c.expression order by n.round) as previous_subset_one_share
  from (select distinct round from rounds where accepted) n
  cross join classes c
  left join measured m on n.round = m.round and c.expression = m.expression
)
select round, previous_round, expression, faces, mean_confidence, previous_mean_confidence,
       mean_confidence - previous_mean_confidence as drift, subset_one_share, previous_subset_one_share
from ordered
