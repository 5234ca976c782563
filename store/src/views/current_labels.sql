-- One judgement that counts: the latest that was not taken back, per face, annotator and (for imports) sighting.
-- label_id: id, for `marginalia unlabel`
-- face_id: the face judged
-- expression: class; null where the judgement is a verdict
-- verdict: not_a_face, unsure or skip; null where the judgement is a class
-- votes: votes by class where an import brought a distribution
-- annotator: who judged
-- origin: human, import or simulated
-- lane: where the judgement was made
-- round: the round whose queue showed the face
-- suggestion: the class that was suggested, if one was shown
-- source: the sighting that gave the label, for imports
-- note: free text
-- seconds: seconds the annotator took
-- created_at: when it was made
select label_id, face_id, expression, verdict, votes, annotator, origin, lane, round, suggestion, source, note, seconds,
       created_at
from (
  select l.label_id, l.face_id, l.expression, l.verdict, l.votes, l.annotator, l.origin, l.lane, l.round, l.suggestion,
         l.source, l.note, l.seconds, l.created_at,
         row_number() over (
           partition by l.face_id, l.annotator, l.source order by l.created_at desc, l.label_id desc
         ) as place
  from labels l
  left anti join (select retracts from labels where retracts is not null) r on l.label_id = r.retracts
  where l.retracts is null
)
where place = 1
