-- One class of the corpus, chosen or not, with the faces that have it as their current label, evaluation splits included.
-- expression: class
-- human: faces labelled by people
-- imported: faces labelled by an import
-- simulated: faces labelled by a simulated annotator
-- pseudo: faces with a pseudo-label
-- total: all of these
-- share: part of all labelled faces, 0 to 1
select expression, human, imported, simulated, pseudo, total,
       case when sum(total) over () = 0 then 0.0
            else cast(total as double) / cast(sum(total) over () as double) end as share
from (
  select c.expression,
         count(*) filter (where k.origin = 'human') as human,
         count(*) filter (where k.origin = 'import') as imported,
         count(*) filter (where k.origin = 'simulated') as simulated,
         count(*) filter (where k.origin = 'pseudo') as pseudo,
         count(k.face_id) as total
  from classes c
  left join corpus k on c.expression = k.expression
  group by c.expression
)
