-- One stream or data set in one hour (UTC) in which it brought something.
-- hour: start of the hour
-- stream: name of the stream or data set
-- inputs: files and records seen, refused ones included
-- faces: new faces among them
-- repeats: inputs whose face was known already
-- refused: inputs that were refused, for the reasons in `rejects`
-- seconds: from the first to the last input of the hour
-- per_second: inputs a second over that time, which counts as at least one second
with inputs as (
  select dataset as stream, seen_at as came_at, 1 as admitted, 0 as refused from sightings where face_id is not null
  union all
  select dataset as stream, rejected_at as came_at, 0 as admitted, 1 as refused from rejects
),
seen as (
  select date_trunc('hour', came_at) as hour, stream, sum(admitted) as admitted, sum(refused) as refused,
         cast(cast(max(came_at) as bigint) - cast(min(came_at) as bigint) as double) / 1000000.0 as seconds
  from inputs
  group by date_trunc('hour', came_at), stream
),
arrived as (
  select date_trunc('hour', ingested_at) as hour, stream, count(*) as faces
  from (
    select ingested_at, stream, row_number() over (partition by face_id order by ingested_at, stream) as place from faces
  )
  where place = 1
  group by date_trunc('hour', ingested_at), stream
)
select coalesce(s.hour, a.hour) as hour, coalesce(s.stream, a.stream) as stream,
       coalesce(s.admitted + s.refused, 0) as inputs, coalesce(a.faces, 0) as faces,
       greatest(coalesce(s.admitted, 0) - coalesce(a.faces, 0), 0) as repeats, coalesce(s.refused, 0) as refused,
       coalesce(s.seconds, 0.0) as seconds,
       coalesce((s.admitted + s.refused) / greatest(s.seconds, 1.0), 0.0) as per_second
from seen s
full join arrived a on s.hour = a.hour and s.stream = a.stream
