-- One labelled face whose label is more likely wrong than right (`label_quality` below one half): another judgement pays
-- most there. Faces of evaluation splits are among them.
-- rank: place, from 1, the least likely label first
-- face_id: the face
-- expression: its label in `corpus`
-- origin: human, import or simulated
-- quality: probability that the label is right, 0 to 1
-- votes: annotators who say so, of any origin
-- annotators: annotators who have a say about the face
-- predicted: the model's class before the face was labelled; null where it had none
-- confidence: its confidence in that
select row_number() over (order by q.quality, v.face_id) as rank, v.face_id, v.expression, v.origin, q.quality, q.votes,
       q.annotators, q.predicted, q.confidence
from label_votes v
join label_quality q on v.face_id = q.face_id and v.expression = q.expression
where v.place = 1 and v.shared_by = 1 and v.expression <> 'not_a_face' and q.quality < 0.5
