-- One face with what most annotators say, whatever their origin; of classes with as many votes the one of higher quality.
-- (`corpus` goes by origin first, and has no label where there is a tie.)
-- face_id: the face
-- expression: class, or not_a_face
-- votes: annotators who say so
-- annotators: annotators who have a say about the face
-- agreement: votes as part of them, 0 to 1
-- tied: whether another class has as many votes
-- predicted: the model's class before the face was labelled; null where it had none
-- quality: probability that the class is right, as in `label_quality`, 0 to 1; null where no face has two annotators
select face_id, expression, votes, annotators, agreement, shared_by > 1 as tied, predicted, quality
from (
  select face_id, expression, votes, annotators, agreement, predicted, quality,
         row_number() over (partition by face_id order by votes desc, quality desc nulls last, expression) as place,
         count(*) over (partition by face_id, votes) as shared_by
  from label_quality
)
where place = 1
