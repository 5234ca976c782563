-- One class of the corpus, chosen or not, with the faces that have it as their current label, evaluation splits included.
-- expression: class
-- human: faces labelled by people
-- imported: faces labelled by an import
-- simulated: faces labelled by a simulated annotator
-- pseudo: faces with a pseudo-label
-- total: all of these
-- share: part of all labelled faces, 0 to 1
with counted as (
  select expression, origin, count(*) as faces from corpus group by expression, origin
),
balance as (
  select c.expression,
         coalesce(sum(k.faces) filter (where k.origin = 'human'), 0) as human,
         coalesce(sum(k.faces) filter (where k.origin = 'import'), 0) as imported,
         coalesce(sum(k.faces) filter (where k.origin = 'simulated'), 0) as simulated,
         coalesce(sum(k.faces) filter (where k.origin = 'pseudo'), 0) as pseudo,
         coalesce(sum(k.faces), 0) as total
  from classes c
  left join counted k on c.expression = k.expression
  group by c.expression
)
select expression, human, imported, simulated, pseudo, total,
       case when sum(total) over () = 0 then 0.0
            else cast(total as double) / cast(sum(total) over () as double) end as share
from balance
