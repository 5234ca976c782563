-- One class, the hardest first: by how often the model was right about faces of that class before they were labelled.
-- People are mostly shown faces it is unsure of, so it is better than this on all faces; `pseudo_label_audit` has no such
-- bias.
-- rank: place, from 1, the class with the smallest recall first; without a checked face last
-- expression: class
-- checked: labelled faces of that class that were scored before they were labelled
-- correct: of these, faces that were predicted so
-- recall: part of them, 0 to 1; null without one
-- low: lower end of its 95 % Wilson interval
-- high: upper end of it
-- mistaken_for: the class they were most often taken for; null without a mistake
-- mistakes: how often
-- predicted: faces that are predicted so now
-- mean_entropy: mean entropy of those, nats; null without one
-- subset_one_share: part of those in subset I, 0 to 1; null without one
with checked as (
  select v.expression, p.expression as predicted
  from label_votes v
  join out_of_sample_predictions p on v.face_id = p.face_id
  where v.place = 1 and v.shared_by = 1
),
counted as (
  select expression, count(*) as checked, count(*) filter (where predicted = expression) as correct
  from checked
  group by expression
),
mistakes as (
  select expression, predicted as mistaken_for, count(*) as mistakes
  from checked
  where predicted <> expression
  group by expression, predicted
),
commonest as (
  select expression, mistaken_for, mistakes
  from (
    select expression, mistaken_for, mistakes,
           row_number() over (partition by expression order by mistakes desc, mistaken_for) as place
    from mistakes
  )
  where place = 1
),
scored as (
  select expression, count(*) as predicted, avg(cast(entropy as double)) as mean_entropy,
         cast(count(*) filter (where subset = 'I') as double) / count(*) as subset_one_share
  from current_predictions
  group by expression
)
select row_number() over (
         order by cast(n.correct as double) / n.checked nulls last, n.checked desc nulls last, c.position
       ) as rank,
       c.expression, coalesce(n.checked, 0) as checked, coalesce(n.correct, 0) as correct,
       cast(n.correct as double) / n.checked as recall, wilson_low(n.correct, n.checked) as low,
       wilson_high(n.correct, n.checked) as high, m.mistaken_for, coalesce(m.mistakes, 0) as mistakes,
       coalesce(s.predicted, 0) as predicted, s.mean_entropy, s.subset_one_share
from classes c
left join counted n on c.expression = n.expression
left join commonest m on c.expression = m.expression
left join scored s on c.expression = s.expression
