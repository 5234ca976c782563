-- U: the unlabelled faces a round trains on, pseudo-labelled ones included.
-- Columns: face_id, weight (a relative sampling probability).
-- By default all of them; where there are more than `round.max_unlabelled`, from easy to hard: those whose confidence is
-- highest against their class's margin, the classes taking turns, and among every five one that no round has scored yet.
with turns as (
  select face_id, round is null as fresh, margin - confidence as below, md5(concat(cast($seed as varchar), face_id)) as shuffle,
    row_number() over (partition by expression order by margin - confidence, face_id) as turn
  from unlabelled
),
places as (
  select face_id, shuffle, fresh,
    row_number() over (partition by fresh order by case when fresh then 0 else turn end, below, shuffle) as place
  from turns
)
select face_id, 1.0 as weight
from places
order by case when fresh then 5 * place else place + (place - 1) / 4 end, shuffle
limit $max_unlabelled
