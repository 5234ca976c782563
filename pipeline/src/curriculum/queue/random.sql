-- Subset II in random order, another one in every round: the baseline that every other order has to beat.
select face_id, 'drawn at random' as reason
from candidates
where subset = 'II'
order by md5(concat(cast($seed as varchar), face_id))
limit $queue_top
