-- Margin distance (the adaptive margin of Ada-CM; Li et al. 2022): the faces nearest below the margin of their class.
select face_id,
  concat(
    'below the margin of ', expression, ' by ', cast(round(cast(margin - confidence as double), 3) as varchar)
  ) as reason
from candidates
where subset = 'II'
order by margin - confidence, face_id
limit $queue_top
