-- BALD (Houlsby et al. 2011; Gal, Islam and Ghahramani 2017): the faces on which the model most disagrees with itself under
-- dropout; what is merely hard to tell comes later than with entropy.
select face_id,
  concat('the model disagrees with itself: ', cast(round(cast(mutual_information as double), 3) as varchar), ' nats') as reason
from candidates
where subset = 'II' and mutual_information is not null
order by mutual_information desc, face_id
limit $queue_top
