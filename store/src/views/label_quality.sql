-- One class that somebody chose for a face, with the probability that it is right: CROWDLAB (Goh, Tkachenko and Mueller
-- 2022), which weighs each annotator by how often others agree, and the model by how often it is right. The model speaks
-- by the prediction it made before the face was labelled (`out_of_sample_predictions`); where there is none, and about
-- not_a_face, people speak alone. Needs faces with several annotators to know the weights from.
-- face_id: the face
-- expression: class, or not_a_face
-- votes: annotators who say so
-- annotators: annotators who have a say about the face
-- agreement: votes as part of them, 0 to 1
-- predicted: the model's class before the face was labelled; null where it had none, here and below
-- confidence: its confidence in that
-- probability: its probability of the class; null for not_a_face too
-- quality: probability that the class is right, 0 to 1; null where no face has two annotators
with votes as (
  select face_id, expression, count(*) as votes, max(annotators) as annotators
  from annotations
  group by face_id, expression
),
modelled as (
  select v.face_id, v.expression, v.votes, v.annotators, p.expression as predicted, p.confidence,
         -- The engine takes an item at null for the first one.
         case when c.position is not null then cast(p.probabilities[cast(c.position as bigint) + 1] as double) end as probability
  from votes v
  left join classes c on v.expression = c.expression
  left join out_of_sample_predictions p on v.face_id = p.face_id
),
-- Marks the class that most say, and of classes with as many votes the one that the model finds likelier.
placed as (
  select face_id, expression, votes, annotators, predicted, confidence, probability,
         row_number() over (partition by face_id order by votes desc, probability desc nulls last, expression) = 1 as wins
  from modelled
),
-- How much there is to know shows in the faces with several annotators, each under the class that wins.
shared as (
  select face_id, expression, votes, annotators, predicted, confidence, probability, wins,
         case when wins and annotators > 1 then 1 else 0 end as counts,
         sum(case when wins and annotators > 1 then 1 else 0 end) over (partition by expression) as of_class
  from placed
),
measured as (
  select face_id, expression, votes, annotators, predicted, confidence, probability,
         avg(case when counts = 1 then cast(votes as double) / annotators end) over () as agreement,
         avg(case when counts = 0 or probability is null then null when predicted = expression then 0.0 else 1.0 end)
           over () as model_error,
         avg(case when wins then cast(annotators as double) end) over () as mean_annotators,
         -- The error of always answering with the commonest class, at least a millionth.
         greatest(1.0 - cast(max(of_class) over () as double) / nullif(sum(counts) over (), 0), 0.000001) as error
  from shared
),
-- How often the others say the same as an annotator, over all who judged a face with him.
seconded as (
  select annotator,
         cast(sum(case when annotators > 1 then votes - 1 end) as double) / nullif(sum(annotators - 1), 0) as agreement
  from (
    select annotator, annotators, count(*) over (partition by face_id, expression) as votes from annotations
  )
  group by annotator
),
weighed as (
  select m.face_id, m.expression, m.votes, m.annotators, m.predicted, m.confidence, m.probability, m.agreement,
         greatest(1.0 - m.model_error / m.error, 0.000001) * sqrt(m.mean_annotators) as model_weight,
         sum(greatest(1.0 - (1.0 - s.agreement) / m.error, 0.000001)) as weight
  from measured m
  join annotations a on m.face_id = a.face_id and m.expression = a.expression
  join (
    select annotator, coalesce(agreement, avg(agreement) over ()) as agreement from seconded
  ) s on a.annotator = s.annotator
  group by m.face_id, m.expression, m.votes, m.annotators, m.predicted, m.confidence, m.probability, m.agreement,
           m.model_error, m.error, m.mean_annotators
),
summed as (
  select face_id, expression, votes, annotators, predicted, confidence, probability, agreement, model_weight, weight,
         sum(weight) over (partition by face_id) as total,
         (1.0 - agreement) / greatest((select count(*) from classes) - 1, 1) as disagreement
  from weighed
)
select face_id, expression, votes, annotators, cast(votes as double) / annotators as agreement, predicted, confidence, probability,
       (coalesce(model_weight * probability, 0.0) + agreement * weight + disagreement * (total - weight))
         / (case when model_weight * probability is null then 0.0 else model_weight end + total) as quality
from summed
