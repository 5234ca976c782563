-- One face's place on the map of one accepted round: its feature in two dimensions (t-SNE), so that faces that the teacher
-- finds alike stand near each other. Distances across the map mean little.
-- round: the round
-- face_id: the face
-- x: from left to right; the map is centred, its unit means nothing
-- y: from bottom to top
select p.round, p.face_id, p.x, p.y
from projections_all p
where p.round in ($accepted_rounds)
