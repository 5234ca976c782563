-- Margin sampling (Scheffer, Decomain and Wrobel 2001): the faces whose two most probable classes are closest to each other.
-- That margin lies between two classes; it is not the confidence margin of a class.
select face_id, concat('two classes apart by ', cast(round(cast(top2_gap as double), 3) as varchar)) as reason
from candidates
where subset = 'II'
order by top2_gap, face_id
limit $queue_top
