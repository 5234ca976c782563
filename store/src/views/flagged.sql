-- One flag that stands: a face that somebody wants looked at.
-- flag_id: the flag
-- face_id: the face
-- annotator: who set it
-- note: why
-- created_at: when
-- expression: the face's label in `corpus`, if it has one
-- origin: where that label comes from
select f.flag_id, f.face_id, f.annotator, f.note, f.created_at, c.expression, c.origin
from flags f
left anti join (select retracts from flags where retracts is not null) t on f.flag_id = t.retracts
left join corpus c on f.face_id = c.face_id
where f.retracts is null
