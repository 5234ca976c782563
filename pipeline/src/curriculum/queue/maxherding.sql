-- MaxHerding (Bae, Noh and Sutherland 2024): faces with many like them of which none is labelled, for a corpus with few
-- labels.
select face_id, 'like many that nothing labelled or before it is like' as reason
from maxherding(1000, 4000)
order by rank
limit $queue_top
