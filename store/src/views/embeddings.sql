-- One face's feature under the teacher of one accepted round.
-- round: the round
-- face_id: the face
-- feature: L2-normalised feature, 512 values of 16 bits
select e.round, e.face_id, e.feature
from embeddings_all e
where e.round in ($accepted_rounds)
