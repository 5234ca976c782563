-- One class that somebody chose for a face, with the probability that it is right: CROWDLAB (Goh, Tkachenko and Mueller
-- 2022), which weighs each annotator by how often others agree, and the model by how often it is right. The model speaks
-- by the prediction it made before the face was labelled (`out_of_sample_predictions`); where there is none, and about
-- not_a_face, people speak alone. Needs faces with several annotators to know the weights from.
-- face_id: the face
-- expression: class, or not_a_face
-- votes: annotators who say so
-- annotators: annotators who have a say about the face
-- agreement: votes as part of them, 0 to 1
-- probability: the model's probability of the class; null where it has none
-- quality: probability that the class is right, 0 to 1; null where no face has two annotators
with votes as (
  select face_id, expression, count(*) as votes, max(annotators) as annotators
  from annotations
  group by face_id, expression
),
modelled as (
  select v.face_id, v.expression, v.votes, v.annotators, p.expression as predicted,
         -- The engine takes an item at null for the first one.
         case when c.position is not null then cast(p.probabilities[cast(c.position as bigint) + 1] as double) end as probability
  from votes v
  left join classes c on v.expression = c.expression
  left join out_of_sample_predictions p on v.face_id = p.face_id
),
majority as (
  select expression, votes, annotators, predicted, probability
  from (
    select expression, votes, annotators, predicted, probability,
           row_number() over (partition by face_id order by votes desc, probability desc nulls last, expression) as place
    from modelled
  )
  where place = 1
),
-- How much there is to know: the error of always answering with the commonest class, at least a millionth.
baseline as (
  select greatest(1.0 - cast(max(faces) as double) / sum(faces), 0.000001) as error
  from (select expression, count(*) as faces from majority where annotators > 1 group by expression)
),
measured as (
  select avg(cast(votes as double) / annotators) filter (where annotators > 1) as agreement,
         avg(case when predicted = expression then 0.0 else 1.0 end)
           filter (where annotators > 1 and probability is not null) as model_error,
         avg(cast(annotators as double)) as mean_annotators
  from majority
),
known as (
  select m.agreement, b.error, greatest(1.0 - m.model_error / b.error, 0.000001) * sqrt(m.mean_annotators) as model_weight,
         (1.0 - m.agreement) / greatest((select count(*) from classes) - 1, 1) as disagreement
  from measured m
  cross join baseline b
),
-- How often the others say the same as an annotator, over all who judged a face with him.
seconded as (
  select a.annotator,
         cast(sum(v.votes - 1) filter (where a.annotators > 1) as double)
           / nullif(sum(a.annotators - 1), 0) as agreement
  from annotations a
  join votes v on a.face_id = v.face_id and a.expression = v.expression
  group by a.annotator
),
weights as (
  select s.annotator,
         greatest(1.0 - (1.0 - coalesce(s.agreement, avg(s.agreement) over ())) / k.error, 0.000001) as weight
  from seconded s
  cross join known k
),
weighed as (
  select a.face_id, a.expression, sum(w.weight) as weight
  from annotations a
  join weights w on a.annotator = w.annotator
  group by a.face_id, a.expression
),
summed as (
  select face_id, expression, weight, sum(weight) over (partition by face_id) as total from weighed
)
select m.face_id, m.expression, m.votes, m.annotators, cast(m.votes as double) / m.annotators as agreement, m.probability,
       (coalesce(k.model_weight * m.probability, 0.0) + k.agreement * s.weight + k.disagreement * (s.total - s.weight))
         / (case when k.model_weight * m.probability is null then 0.0 else k.model_weight end + s.total) as quality
from modelled m
left join summed s on m.face_id = s.face_id and m.expression = s.expression
cross join known k
