-- One face that people should see, in the order in which they should: first faces that were judged and want more judgements
-- (`unfinished`), then the top that was written with the round, audits and second opinions among it, then the rest of subset
-- II, the classes taking turns and within each the faces closest below their margin first, then faces that nobody scored yet.
-- Before the first round all stand in a random order that stays the same. Rows come in the order of `rank`, and the first of
-- them cost little, however many there are.
-- rank: place, from 1
-- face_id: the face
-- lane: queue, audit for faces of subset I, or review for labelled ones that want another judgement; both without a suggestion
-- reason: why it stands there
-- expression: most probable class; null where it was not scored or is labelled, here and below
-- confidence: mean softmax of that class over the weak views, 0 to 1
-- margin: the margin of that class when it was split
-- round: the round whose teacher scored it
with turns as (
  select u.face_id, u.expression, u.confidence, u.margin, u.round, md5(u.face_id) as shuffle,
         row_number() over (
           partition by u.round is null, u.expression order by u.margin - u.confidence, md5(u.face_id)
         ) as turn
  from unlabelled u
  left anti join (select face_id from queue_entries where round = $current_round) e on u.face_id = e.face_id
  left anti join unfinished w on u.face_id = w.face_id
  where u.subset = 'II' or u.round is null
)
select row_number() over (order by round is null, turn, margin - confidence, shuffle) as rank,
       face_id,
       'queue' as lane,
       case
         when round is not null then concat('below its margin by ', cast(round(cast(margin - confidence as double), 3) as varchar))
         when $current_round = 0 then 'cold_start'
         else 'unscored'
       end as reason,
       expression, confidence, margin, round
from turns
order by rank
