-- Subset II in a random order that `train.seed` decides, in every round the same: the baseline that others have to beat.
select face_id, 'drawn at random' as reason
from candidates
where subset = 'II'
order by md5(concat(cast($seed as varchar), face_id))
limit $queue_top
