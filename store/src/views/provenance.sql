-- One face of the corpus with all that says where its label came from; what `marginalia export` writes.
-- face_id: the face, BLAKE3 of its image
-- expression: class
-- origin: human, import, simulated or pseudo
-- annotators: who judged it in that origin, in the order of the alphabet; null for a pseudo-label
-- confidence: share of the origin's votes that the class has; for a pseudo-label the prediction's confidence
-- margin: for a pseudo-label the margin that its confidence reached
-- round: for a pseudo-label the round that gave it
-- votes: votes for the class; null for a pseudo-label
-- judgements: votes of that origin in all; null for a pseudo-label
-- split: train, validation or test
-- source: the file or record it was first seen in, by the order of their names
-- stream: the stream or data set that brought it first
-- subject: person, where the source names one
-- format: jpeg, png, webp or bmp
-- width: pixels
-- height: pixels
-- captured_at: when the picture was taken or its file last changed, where known
-- ingested_at: when it was admitted
select c.face_id, c.expression, c.origin, a.annotators, c.confidence, p.margin, c.round, c.votes, c.judgements, c.split,
       s.source, f.stream, f.subject, f.format, f.width, f.height, f.captured_at, f.ingested_at
from corpus c
join (
  select face_id, stream, subject, format, width, height, captured_at, ingested_at,
         row_number() over (partition by face_id order by ingested_at, stream) as place
  from faces
) f on c.face_id = f.face_id and f.place = 1
left join (
  select face_id, min(source) as source from sightings where face_id is not null group by face_id
) s on c.face_id = s.face_id
left join (
  select face_id, origin, string_agg(annotator, ', ' order by annotator) as annotators
  from (
    select distinct face_id, origin, annotator from current_labels where expression is not null
  )
  group by face_id, origin
) a on c.face_id = a.face_id and c.origin = a.origin
left join current_predictions p on c.face_id = p.face_id and c.origin = 'pseudo'
