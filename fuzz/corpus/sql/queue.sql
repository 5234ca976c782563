-- One face that people should see, in the order in which they should: first the top that was written with the round, then
-- the rest of subset II, the classes taking turns and within each the faces closest below their margin first, then faces
-- that nobody scored yet. Before the first round all stand in a random order that stays the same.
-- rank: place, from 1
-- face_id: the face
-- lane: queue, or audit for faces of subset I that are shown without a suggestion
-- reason: why it stands there
-- expression: most probable class; null where it was not scored, here and below
-- confidence: mean softmax of that class over the weak views, 0 to 1
-- margin: the margin of that class when it was split
-- round: the round whose teacher scored it
with entries as (
  select face_id, rank, lane, reason
  from (
    select face_id, rank, lane, reason, row_number() over (partition by face_id order by rank, lane) as place
    from queue_entries
    where round = $current_round
  )
  where place = 1
),
candidates as (
  select u.face_id, u.expression, u.confidence, u.margin, u.round, e.lane, e.reason, e.rank as entry,
         case when e.face_id is not null then 1 when u.round is not null then 2 else 3 end as part,
         md5(u.face_id) as shuffle
  from unlabelled u
  left join entries e on u.face_id = e.face_id
  where e.face_id is not null or u.subset = 'II' or u.round is null
),
turns as (
  select *, row_number() over (partition by part, expression order by margin - confidence, shuffle) as turn
  from candidates
)
select row_number() over (order by part, coalesce(entry, turn), margin - confidence, shuffle) as rank,
       face_id,
       coalesce(lane, 'queue') as lane,
       case part
         when 1 then reason
         when 2 then concat('below its margin by ', cast(round(cast(margin - confidence as double), 3) as varchar))
         else case when $current_round = 0 then 'cold_start' else 'unscored' end
       end as reason,
       expression, confidence, margin, round
from turns
