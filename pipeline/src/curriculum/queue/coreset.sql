-- CoreSet (Sener and Savarese 2018): the faces farthest from all that are labelled or stand before them, so that none
-- is left far from a labelled one.
select face_id, 'unlike all that are labelled and those before it' as reason
from coreset(1000, 10000)
order by rank
limit $queue_top
