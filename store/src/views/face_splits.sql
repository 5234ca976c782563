-- One face of an evaluation split: a face is in it if any of its sightings is. All other faces are for training and have
-- no row here.
-- face_id: the face
-- split: test if any sighting is, else validation
select face_id, case when bool_or(split = 'test') then 'test' else 'validation' end as split
from sightings
where face_id is not null and split in ('validation', 'test')
group by face_id
