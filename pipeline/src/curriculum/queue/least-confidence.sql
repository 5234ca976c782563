-- Least confidence (Lewis and Gale 1994): the faces whose most probable class is least probable.
select face_id, concat('confidence ', cast(round(cast(confidence as double), 3) as varchar)) as reason
from candidates
where subset = 'II'
order by confidence, face_id
limit $queue_top
