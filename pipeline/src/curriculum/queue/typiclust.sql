-- TypiClust (Hacohen, Dekel and Weinshall 2022): faces that stand for many others, for a corpus with few labels. The
-- predicted classes are its clusters.
select face_id, concat('stands for many: mean distance to its neighbours ', cast(round(distance, 3) as varchar)) as reason
from typiclust(1000, 4000)
order by rank
limit $queue_top
