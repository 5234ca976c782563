-- S: the labelled faces a round trains on.
-- Columns: face_id, expression, weight (a relative sampling probability).
-- By default every face whose label people or a data set gave, outside the evaluation splits, the classes equally often
-- however many faces each has; pseudo-labels are not among them, because Ada-CM makes its own at every step.
select face_id, expression, 1.0 / count(*) over (partition by expression) as weight
from corpus
where origin in ('human', 'import', 'simulated') and split = 'train'
