-- One finished round.
-- round: number, from 1
-- method: the training method
-- accepted: whether the gate let its checkpoint through
-- labelled: labelled faces trained on
-- unlabelled: unlabelled faces trained on
-- pool: all unlabelled faces at the time
-- scored: faces scored
-- subset_one: of these in subset I
-- subset_two: of these in subset II
-- subset_one_share: part of the scored faces in subset I, 0 to 1; null where none was scored
-- validation_accuracy: accuracy on the validation split, fraction; null without one
-- validation_macro_f1: macro-F1 on the validation split, fraction; null without one
-- mean_margin: mean over the classes of the margin after the last epoch
-- seconds: wall-clock seconds from start to marker
-- finished_at: when it ended
-- gate: why it was accepted or not
with last_epochs as (
  select round, max(epoch) as epoch from margins group by round
),
mean_margins as (
  select m.round, avg(m.margin) as mean_margin
  from margins m
  join last_epochs l on m.round = l.round and m.epoch = l.epoch
  group by m.round
)
select r.round, r.method, r.accepted, r.labelled, r.unlabelled, r.pool, r.scored, r.subset_one, r.subset_two,
       cast(r.subset_one as double) / cast(nullif(r.scored, 0) as double) as subset_one_share,
       r.validation_accuracy, r.validation_macro_f1, m.mean_margin,
       cast(cast(r.finished_at as bigint) - cast(r.started_at as bigint) as double) / 1000000.0 as seconds,
       r.finished_at, r.gate
from rounds r
left join mean_margins m on r.round = m.round
