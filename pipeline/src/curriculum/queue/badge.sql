-- BADGE (Ash et al. 2020): faces that would change the model most and in different ways, uncertain and diverse at once.
select face_id, 'would change the model, unlike those before it' as reason
from badge(1000, 10000)
order by rank
limit $queue_top
