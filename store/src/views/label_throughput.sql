-- One annotator in one hour (UTC) in which he judged something.
-- hour: start of the hour
-- annotator: who judged
-- origin: human, import or simulated
-- judgements: judgements made, those since replaced or taken back included
-- classes: of these, classes given
-- verdicts: of these, verdicts (not_a_face, unsure, skip)
-- retracted: of these, taken back since
-- median_seconds: median of the seconds a judgement took; null where no client measured them
select date_trunc('hour', l.created_at) as hour, l.annotator, l.origin, count(*) as judgements,
       count(l.expression) as classes, count(l.verdict) as verdicts, count(r.retracts) as retracted,
       median(l.seconds) as median_seconds
from labels l
left join (select distinct retracts from labels where retracts is not null) r on l.label_id = r.retracts
where l.retracts is null
group by date_trunc('hour', l.created_at), l.annotator, l.origin
