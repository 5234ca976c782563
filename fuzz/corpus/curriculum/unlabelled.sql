-- U: the unlabelled faces a round trains on.
-- Columns: face_id, weight (a relative sampling probability).
-- By default a seeded sample of the pool, pseudo-labelled faces included, so that a round's length is bounded.
select face_id, 1.0 as weight
from unlabelled
order by md5(concat(cast($seed as varchar), face_id))
limit $max_unlabelled
