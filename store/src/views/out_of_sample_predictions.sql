-- One judged face as the model saw it before it could know: the prediction of the last accepted round that began before
-- anybody's current label of the face. Faces that were labelled before they were ever scored have no row.
-- face_id: the face
-- round: the round whose teacher scored it
-- expression: most probable class
-- confidence: mean softmax of that class over the weak views, 0 to 1
-- probabilities: mean softmax over the weak views, in the corpus's class order
select face_id, round, expression, confidence, probabilities
from (
  select p.face_id, p.round, p.expression, p.confidence, p.probabilities,
         row_number() over (
           partition by p.face_id order by p.round desc, p.scored_at, p.confidence, p.expression
         ) as place
  from (
    select face_id, min(created_at) as first_at
    from current_labels
    where expression is not null or verdict = 'not_a_face'
    group by face_id
  ) a
  join predictions p on a.face_id = p.face_id
  join rounds r on p.round = r.round
  where r.started_at <= a.first_at
)
where place = 1
