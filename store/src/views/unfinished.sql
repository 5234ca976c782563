-- One face that somebody judged and that wants more judgements: fewer people said a class or not_a_face than
-- `round.judgements_per_face` asks for. There are none where one judgement is enough.
-- face_id: the face
-- judgements: people who judged it, imports not counted
-- since: when the first of them did
select l.face_id, count(distinct l.annotator) as judgements, min(l.created_at) as since
from current_labels l
left anti join face_splits s on l.face_id = s.face_id
where l.origin <> 'import' and (l.expression is not null or l.verdict = 'not_a_face') and $judgements_per_face > 1
group by l.face_id
having count(distinct l.annotator) < $judgements_per_face
