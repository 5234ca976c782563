"""The client's side of the tests: `clients.py CASE PORT USER TOKEN PID`, PID being the server's process."""

import datetime
import decimal
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import psycopg
import sqlalchemy

case, port, user, token, pid = sys.argv[1:]
ENDLESS = "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b"


def connect(**settings):
    return psycopg.connect(host="127.0.0.1", port=port, user=user, password=token, dbname="marginalia", **settings)


def one(connection, query, values=None, **settings):
    return connection.execute(query, values, **settings).fetchone()[0]


def refusal(connection, query, values=None):
    try:
        connection.execute(query, values).fetchall()
    except psycopg.Error as error:
        return error
    raise AssertionError(f"not refused: {query[:80]}")


def resident_mb():
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def busy_seconds():
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def marginalia(*args):
    return subprocess.run([os.environ["MARGINALIA"], *args], check=True, capture_output=True, text=True).stdout


def parameters():
    with connect(autocommit=True) as db:
        assert one(db, "select count(*) from faces where width = %s", (24,)) == 30
        assert one(db, "select count(*) from faces where width = %s and format = %s", (24, "png")) == 30
        assert one(db, "select count(*) from faces where face_id = %s", ("' or 1=1 --",)) == 0
        face = one(db, "select min(face_id) from faces")
        assert one(db, "select count(*) from faces where face_id = any(%s)", ([face, "x"],)) == 1
        assert one(db, "select count(*) from faces where ingested_at > %s", (datetime.datetime(2020, 1, 1),)) == 30
        zoned = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
        assert one(db, "select count(*) from faces where ingested_at > %s", (zoned,)) == 30
        assert one(db, "select count(*) from faces where ingested_at is null or %s::bigint is null", (None,)) == 30
        assert one(db, "select value from generate_series(1, 9) limit %s::bigint offset %s::bigint", (1, 3)) == 4
        image, = db.execute("select image from faces where face_id = %s", (face,)).fetchone()
        assert image.startswith(b"\x89PNG"), image[:10]
        when = one(db, "select max(ingested_at) from faces")
        assert abs((datetime.datetime.now(datetime.timezone.utc) - when).total_seconds()) < 3600, when
        for value in [7, 70_000, 7_000_000_000, 0.25, "text", True, None]:
            assert one(db, "select %s", (value,)) == value, value
        for binary in [False, True]:
            row = db.execute(
                "select 1::int, 2::bigint, 0.5::real, 0.25::double, 'a', true, null, date '2026-02-03', x'00ff', array[1, 2], %s::int",
                (3,),
                binary=binary,
            ).fetchone()
            assert row == (1, 2, 0.5, 0.25, "a", True, None, datetime.date(2026, 2, 3), b"\x00\xff", [1, 2], 3), row
            features = db.execute("select feature, count(*) over () from embeddings", binary=binary)
            assert features.fetchall() == [] and len(features.description) == 2
        total = db.execute("select sum(size) from sightings").fetchone()[0]
        assert isinstance(total, (int, decimal.Decimal)) and total > 0, total
        # Prepared once and run often, and again when the corpus has changed.
        for width in [24, 25] * 10:
            count = one(db, "select count(*) from faces where width = %s", (width,), prepare=True)
            assert count == (30 if width == 24 else 0)
        labels = "select count(*) from labels where annotator = %s"
        assert one(db, labels, ("ada",), prepare=True) == 0
        marginalia("label", face, "fear", "--annotator", "ada")
        assert one(db, labels, ("ada",), prepare=True) == 1
        with db.pipeline():
            cursors = [db.execute("select %s + 1", (i,)) for i in range(20)]
        assert [cursor.fetchone()[0] for cursor in cursors] == list(range(1, 21))
        for wrong in ["twelve", "' or 1=1"]:
            refusal(db, "select count(*) from faces where width = %s", (wrong,))
            assert one(db, "select 1") == 1


def million():
    with connect() as db:
        assert one(db, "select 1") == 1
        for name, read in [("cursor", with_cursor), ("stream", with_stream)]:
            total, seen = 0, []
            for i, value in enumerate(read(db)):
                total += value
                if i % 100_000 == 50_000:
                    seen.append(resident_mb())
            assert total == 1_000_000 * 1_000_001 // 2, total
            print(f"{name}: a million rows, {seen[0]:.0f} MB in the beginning, {max(seen):.0f} MB at most")
            assert max(seen) - seen[0] < 64, seen


QUERY = "select value, 'some text to make it wider ' || value from generate_series(1, 1000000) where value > %s"


def with_cursor(db):
    with db.cursor("rows") as cursor:
        cursor.itersize = 5000
        cursor.execute(QUERY, (0,))
        assert [column.name for column in cursor.description][0] == "value"
        for value, _ in cursor:
            yield value


def with_stream(db):
    with db.cursor() as cursor:
        for value, _ in cursor.stream(QUERY, (0,)):
            yield value


def transaction():
    with connect() as inside, connect(autocommit=True) as outside:
        count = "select count(*) from labels"
        assert one(inside, count) == 0 == one(outside, count)
        face = one(outside, "select min(face_id) from faces")
        marginalia("label", face, "fear", "--annotator", "ada")
        assert one(outside, count) == 1
        assert one(inside, count) == 0
        inside.commit()
        assert one(inside, count) == 1
        assert one(inside, "show transaction_isolation") == "repeatable read"
        inside.rollback()
        assert isinstance(refusal(inside, "select nonsense"), psycopg.Error)
        assert isinstance(refusal(inside, "select 1"), psycopg.errors.InFailedSqlTransaction)
        inside.rollback()
        assert one(inside, "select 1") == 1
        with inside.transaction():
            with inside.transaction():
                assert one(inside, count) == 1
        inside.commit()
        inside.read_only = True
        inside.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        assert one(inside, count) == 1


def refused():
    with connect(autocommit=True) as db:
        for query, values in [
            ("insert into labels (annotator) values (%s)", ("x",)),
            ("update labels set annotator = %s", ("x",)),
            ("delete from labels where annotator = %s", ("x",)),
            ("create table t as select %s", (1,)),
            ("create view v as select %s", (1,)),
            ("copy (select 1) to '/tmp/x'", ()),
            ("drop table faces", ()),
            ("set work_mem = '1GB'", ()),
            ("set datafusion.execution.batch_size = 1", ()),
            ("prepare p as select 1", ()),
            ("explain analyze insert into labels select * from labels", ()),
            ("select 1; select %s", (2,)),
        ]:
            for prepare in [False, True]:
                try:
                    db.execute(query, values, prepare=prepare)
                except psycopg.errors.DatabaseError as error:
                    assert len(str(error)) > 30, error
                else:
                    raise AssertionError(f"not refused: {query}")
                assert one(db, "select %s::int", (1,)) == 1
        assert "only reads" in str(refusal(db, "insert into labels (annotator) values (%s)", ("x",)))
        try:
            with db.cursor().copy("copy faces to stdout") as copy:
                copy.read()
        except psycopg.Error as error:
            assert "COPY is not allowed" in str(error), error
        else:
            raise AssertionError("COPY is not refused")
        assert one(db, "select count(*) from labels") == 0


def cancel():
    with connect(autocommit=True) as db:
        for query in [ENDLESS, "select value from generate_series(1, 1000000000000)"]:
            timer = threading.Timer(1.0, db.cancel_safe)
            timer.start()
            assert isinstance(refusal(db, query), psycopg.errors.QueryCanceled)
            timer.join()
            assert one(db, "select 1") == 1
        db.execute("set statement_timeout = '1s'")
        assert isinstance(refusal(db, ENDLESS), psycopg.errors.QueryCanceled)
        assert one(db, "show statement_timeout") == "1s"
    stands_still()


def gone():
    sleepers = [subprocess.Popen([sys.executable, __file__, "endless", *sys.argv[2:]], stdout=subprocess.PIPE) for _ in range(6)]
    for sleeper in sleepers:
        assert sleeper.stdout.readline().strip() == b"asking"
    time.sleep(1)
    for sleeper in sleepers:
        sleeper.kill()
        sleeper.wait()
    stands_still()
    with connect(autocommit=True) as db:
        assert one(db, "select 1") == 1


def endless():
    with connect(autocommit=True) as db:
        print("asking", flush=True)
        db.execute(ENDLESS)


def stands_still():
    """Waits until the server has nothing to do any more."""
    end = time.monotonic() + 120
    while True:
        before = busy_seconds()
        time.sleep(0.5)
        if busy_seconds() - before < 0.1:
            return
        assert time.monotonic() < end, "the server still works for somebody who has gone"


N = 10_000
# What could stop the process or leave the corpus, and a word of the refusal.
WALLS = [
    ("select " + "+".join(["1"] * N), ["operators"]),
    ("select " + " or ".join(["true"] * N), ["operators"]),
    (" union all ".join(["select 1"] * N), ["operators"]),
    ("select " + "(" * N + "1" + ")" * N, ["nested"]),
    ("select " + "case when true then " * N + "1" + " end" * N, ["operators", "nested"]),
    ("select case " + "when true then 1 " * N + " end", ["operators"]),
    ("select 1 in (" + ",".join(["1"] * N) + ")", ["items"]),
    ("select '" + "x" * 2_000_000 + "'", ["bytes", "larger"]),
    ("with recursive t as (select 1 as a union all select a + 1 from t) select * from t", ["RECURSIVE"]),
    ("select sum(value) from generate_series(1, 1000000000000000000)", ["deadline"]),
    # At the deadline either side may be the one that is waited for; the time is up in both messages.
    ("select value from generate_series(1, 1000000000000000000)", ["deadline", "took too long"]),
    (ENDLESS, ["deadline"]),
    ("copy faces to stdout", ["COPY", "parser"]),
    ("copy (select 1) to '/tmp/x.csv'", ["COPY"]),
    ("create table t as select 1", ["CREATE"]),
    ("create external table t stored as csv location '/etc/passwd'", ["CREATE", "parser"]),
    ("set datafusion.execution.batch_size = 1", ["SET", "can be set"]),
    ("insert into labels select * from labels", ["INSERT"]),
    ("select * from '/etc/passwd'", [""]),
    ("select * from 'file:///etc/passwd'", [""]),
    ('select * from "/etc/passwd"', ["no such table"]),
    ('select * from "file:///etc/passwd"', ["no such table"]),
    ("select repeat('x', 10000000000)", ["MB"]),
    ("select * from tokens", ["no such table"]),
    ("select * from truth", ["no such table"]),
]
COUNT = "select count(*) as n from faces"


def held(door, query, words, said):
    print(f"{door}: {query[:60]}: {said[:200]}")
    assert any(word in said for word in words), f"{door}: {query[:60]}: {said}"


def walls():
    with connect(autocommit=True) as db:
        for query, words in WALLS:
            for values in [None, ()]:
                held("psycopg", query, words, str(refusal(db, query, values)))
                assert one(db, COUNT) == 30
        try:
            db.execute("select " + "x" * (9 << 20))
        except psycopg.Error as error:
            print(f"a text of 9 MB: {error}")
        else:
            raise AssertionError("a text of 9 MB was taken")
    with connect(autocommit=True) as db:
        assert one(db, COUNT) == 30


def ask(query):
    """What HTTP answers, status and whole body; a body that breaks off ends with its last word."""
    body = json.dumps({"query": query}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{os.environ['MARGINALIA_HTTP']}/api/sql", body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except http.client.IncompleteRead:
        return 200, "stopped at its deadline"


def walls_over_http():
    for query, words in WALLS:
        status, said = ask(query)
        held("HTTP", query, words, f"{status} {said}")
        assert status in (200, 413, 422) and (status != 200 or said == "stopped at its deadline"), f"{status}: {said[:200]}"
        assert json.loads(ask(COUNT)[1])["rows"] == [{"n": 30}]


def walls_on_the_command_line():
    for query, words in WALLS:
        command = [os.environ["MARGINALIA"], "sql", "--json"]
        done = subprocess.run(command, input=query, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        held("command line", query, words, done.stderr)
        # A signal would be negative.
        assert done.returncode > 0, f"{query[:60]}: {done.returncode}"
    assert json.loads(marginalia("sql", "--json", COUNT)) == [{"n": 30}]


def sqlalchemy_():
    url = sqlalchemy.URL.create("postgresql+psycopg", user, token, "127.0.0.1", int(port), "marginalia")
    engine = sqlalchemy.create_engine(url)
    inspector = sqlalchemy.inspect(engine)
    assert "public" in inspector.get_schema_names()
    assert {"faces", "labels", "rounds"} <= set(inspector.get_table_names()), inspector.get_table_names()
    assert {"corpus", "queue"} <= set(inspector.get_view_names()), inspector.get_view_names()
    assert not {"tokens", "truth", "tombstones"} & set(inspector.get_table_names())
    columns = {column["name"]: column["type"] for column in inspector.get_columns("corpus")}
    assert isinstance(columns["face_id"], sqlalchemy.Text), columns
    assert isinstance(columns["confidence"], sqlalchemy.Float), columns
    assert inspector.has_table("faces") and inspector.has_table("corpus") and not inspector.has_table("nowhere")
    metadata = sqlalchemy.MetaData()
    faces = sqlalchemy.Table("faces", metadata, autoload_with=engine)
    assert isinstance(faces.c.image.type, sqlalchemy.LargeBinary), faces.c.image.type
    assert isinstance(faces.c.ingested_at.type, sqlalchemy.DateTime), faces.c.ingested_at.type
    assert faces.primary_key.columns.keys() == [] and inspector.get_indexes("faces") == []
    assert inspector.get_foreign_keys("faces") == inspector.get_unique_constraints("faces") == []
    with engine.connect() as db:
        query = sqlalchemy.select(faces.c.face_id).where(faces.c.width == 24).order_by(faces.c.face_id).limit(5).offset(1)
        assert len(db.execute(query).all()) == 5
        count = sqlalchemy.select(sqlalchemy.func.count()).select_from(faces).where(faces.c.format.in_(["png", "jpeg"]))
        assert db.scalar(count) == 30
        streamed = db.execution_options(stream_results=True, max_row_buffer=10).execute(sqlalchemy.select(faces.c.face_id))
        assert len(streamed.all()) == 30
    assert engine.dialect.server_version_info == (16, 6), engine.dialect.server_version_info


{"sqlalchemy": sqlalchemy_}.get(case, globals().get(case))()
