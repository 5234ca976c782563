-- Entropy (Shannon; Settles 2009, section 3.1): the faces whose probabilities are most even over all classes.
select face_id, concat('entropy ', cast(round(cast(entropy as double), 3) as varchar)) as reason
from candidates
where subset = 'II'
order by entropy desc, face_id
limit $queue_top
