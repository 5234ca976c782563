-- One change of the corpus with who made it: labels given and taken back, flags, rounds, and all that `audit_log` holds.
-- changed_at: when
-- actor: who; for a round what started it
-- action: label, retraction, flag, flag_taken_off, round_finished, or an action of `audit_log`
-- target: what it is about: a face, a round, or what `audit_log` names
-- detail: more of it, for people
select created_at as changed_at, annotator as actor, case when retracts is null then 'label' else 'retraction' end as action,
       face_id as target,
       case when retracts is null then concat(coalesce(expression, verdict), ' (', origin, ', ', lane, ')') else retracts end as detail
from labels
union all
select created_at, annotator, case when retracts is null then 'flag' else 'flag_taken_off' end, face_id, note
from flags
union all
select finished_at, trigger, 'round_finished', cast(round as varchar), gate
from rounds
union all
select changed_at, actor, action, target, detail
from audit_log
