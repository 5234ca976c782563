//! The walls around SQL: read-only, bounded, alive.

mod sessions;

use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use marginalia_store::{Corpus, Error, Session, SqlLimits, SqlRuntime};
use serde::Deserialize;

use crate::slt::new_corpus;

struct Fixture {
    _folder: tempfile::TempDir,
    corpus: Corpus,
    runtime: SqlRuntime,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let corpus = new_corpus(&folder.path().join("corpus")).await;
        Self { _folder: folder, corpus, runtime: SqlRuntime::new().expect("SQL threads") }
    }

    async fn session(&self, limits: SqlLimits) -> Session {
        let snapshot = self.corpus.snapshot().await.expect("a snapshot");
        Session::open(&self.runtime, snapshot, limits).await.expect("a session")
    }
}

async fn refusal(session: &Session, sql: &str) -> String {
    match run(session, sql).await {
        Err(Error::QueryRefused { reason }) => reason,
        Err(other) => panic!("refused in another way: {other} ({})", &sql[..sql.len().min(100)]),
        Ok(_) => panic!("not refused: {}", &sql[..sql.len().min(100)]),
    }
}

async fn run(session: &Session, sql: &str) -> Result<Vec<arrow::array::RecordBatch>, Error> {
    session.query(sql).await?.collect().await
}

async fn number(session: &Session, sql: &str) -> i64 {
    let batches = run(session, sql).await.expect(sql);
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_questions_are_taken() {
    let fixture = Fixture::new().await;
    let session = fixture.session(SqlLimits::default()).await;
    for sql in [
        "drop table faces",
        "drop view corpus",
        "create table t as select 1",
        "create view v as select 1",
        "create or replace view corpus as select 1",
        "create external table t stored as csv location '/etc/passwd'",
        "create function f(int) returns int return $1",
        "copy faces to '/tmp/faces.parquet'",
        "copy (select 1) to 'x.csv'",
        "insert into labels values (1)",
        "update labels set annotator = 'x'",
        "delete from labels",
        "truncate table labels",
        "set datafusion.execution.batch_size = 1",
        "reset datafusion.execution.batch_size",
        "prepare p as select 1",
        "execute p",
        "begin",
        "explain drop table faces",
        "explain analyze insert into labels values (1)",
        "select 1; drop table faces",
        "select 1; select 2",
        "",
        "-- nothing but a comment",
    ] {
        let reason = refusal(&session, sql).await;
        assert!(reason.len() > 20, "{sql}: says too little: {reason}");
    }
    assert!(refusal(&session, "drop table faces").await.starts_with("DROP is not allowed"));
    let reason = refusal(&session, "select * from faces where width = $width").await;
    assert!(reason.contains("$width"), "{reason}");
    // Writes that hide inside a question are stopped by the plan's wall.
    for sql in ["select 1 as a into t", "with x as (select 1) insert into labels select * from x"] {
        assert!(run(&session, sql).await.is_err(), "{sql}");
    }
    assert_eq!(number(&session, "select count(*) from faces").await, 0);
    for sql in ["show tables", "show columns from faces", "describe labels", "explain select * from queue", "show all"]
    {
        assert!(!run(&session, sql).await.expect(sql).is_empty(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_no_tables() {
    let fixture = Fixture::new().await;
    let session = fixture.session(SqlLimits::default()).await;
    let file = fixture.corpus.path().join("x.csv");
    std::fs::write(&file, "a\n1\n").expect("a file");
    for name in ["/etc/passwd", &file.to_string_lossy(), "file:///etc/passwd"] {
        for sql in [format!("select * from '{name}'"), format!("select * from \"{name}\"")] {
            let error = run(&session, &sql).await.expect_err("no such table").to_string();
            assert!(error.contains("no such table"), "{error}");
            assert!(error.contains("SHOW TABLES"), "{error}");
        }
    }
    for sql in ["select * from read_csv('/etc/passwd')", "select * from parquet_metadata('x')"] {
        assert!(run(&session, sql).await.is_err(), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_and_half_written_tables_have_no_name() {
    let fixture = Fixture::new().await;
    let session = fixture.session(SqlLimits::default()).await;
    for name in ["truth", "predictions_all", "queue_entries_all", "embeddings_all", "margins_all", "epochs_all"] {
        let error = run(&session, &format!("select * from {name}")).await.expect_err(name).to_string();
        assert!(error.contains("no such table"), "{error}");
    }
}

/// Texts that would overflow a stack or fill the memory while they are planned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monstrous_texts_are_refused() {
    let fixture = Fixture::new().await;
    // The length limit is out of the way, so that the other walls are what stands.
    let session = fixture.session(SqlLimits { max_text_bytes: 16 << 20, ..SqlLimits::default() }).await;
    let n = 10_000;
    let chain = |levels: usize, step: &str| {
        let steps: Vec<String> = (1..levels).map(|i| format!("c{i} as (select {step} as s from c{})", i - 1)).collect();
        format!("with c0 as (select 1 as s), {} select count(*) from c{} where s > 0", steps.join(", "), levels - 1)
    };
    let doublings: Vec<String> =
        (1..30).map(|i| format!("c{i} as (select * from c{} x, c{} y)", i - 1, i - 1)).collect();
    for sql in [
        format!("select {}", vec!["1"; n].join("+")),
        format!("select {}", vec!["true"; n].join(" or ")),
        format!("select {}", vec!["'a'"; n].join("||")),
        vec!["select 1"; n].join(" union all "),
        vec!["select 1"; n].join(" intersect "),
        format!("select {}1{}", "(".repeat(n), ")".repeat(n)),
        format!("select {}1{}", "abs(".repeat(n), ")".repeat(n)),
        format!("select {}1{}", "[".repeat(n), "]".repeat(n)),
        format!("{}select 1{}", "select * from (".repeat(n), ")".repeat(n)),
        format!("select case {} end", "when true then 1 ".repeat(n)),
        format!("select {}1{}", "case when true then ".repeat(n), " end".repeat(n)),
        format!("select {}true", "not ".repeat(n)),
        format!("select {}1", "- ".repeat(n)),
        format!("select 1{}", "::int".repeat(n)),
        format!("select true{}", " is true".repeat(n)),
        format!("select a{} from faces", "[1]".repeat(n)),
        format!("select a{} from faces", ".a".repeat(n)),
        format!("select 1 in ({})", vec!["1"; n].join(",")),
        format!("select {}", vec!["1"; n].join(",")),
        format!("select * from {}", vec!["faces"; n].join(",")),
        format!("select * from faces {}", "join faces on true ".repeat(n)),
        format!("select * from {}", vec!["faces"; 150].join(",")),
        format!("with c0 as (select * from faces), {} select count(*) from c29", doublings.join(", ")),
        chain(40, "s + s"),
        format!("select s from {}(select 1 as s){} where s > 0", "(select s * s as s from ".repeat(40), ")".repeat(40)),
        format!("select count(*) from faces group by cube(face_id{})", ", width".repeat(20)),
        format!("select 1 from faces group by rollup(width{0}), rollup(height{0})", ", format".repeat(40)),
        "with recursive t as (select 1 as a union all select a + 1 from t) select * from t".to_owned(),
    ] {
        let begun = Instant::now();
        refusal(&session, &sql).await;
        assert!(begun.elapsed() < Duration::from_secs(20), "slow: {}", &sql[..60]);
    }
    let session = fixture.session(SqlLimits::default()).await;
    let long = format!("select '{}'", "x".repeat(70_000));
    assert!(refusal(&session, &long).await.contains("bytes"));
    // What stays below the limits runs.
    let most = format!("select {}", vec!["1"; 400].join("+"));
    assert_eq!(number(&session, &most).await, 400);
    let nested = format!("select {}1{}", "(".repeat(50), ")".repeat(50));
    assert_eq!(number(&session, &nested).await, 1);
    let list = format!("select count(*) from faces where width in ({})", vec!["1"; 3000].join(","));
    assert_eq!(number(&session, &list).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_ends_at_its_deadline_while_others_are_answered() {
    let fixture = Fixture::new().await;
    let limits = SqlLimits { timeout: Duration::from_secs(1), ..SqlLimits::default() };
    let hurried = fixture.session(limits).await;
    let patient = fixture.session(SqlLimits::default()).await;
    for endless in [
        "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b",
        "select count(*) from generate_series(1, 100000) a(x), generate_series(1, 100000000) b(y) where a.x * b.y = -1",
        "select sum(value) from generate_series(1, 1000000000000000000)",
    ] {
        let begun = Instant::now();
        let (endless_answer, other) = tokio::join!(run(&hurried, endless), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            number(&patient, "select count(*) from corpus").await
        });
        assert!(matches!(endless_answer, Err(Error::QueryTimeout { seconds: 1 })), "{endless}: {endless_answer:?}");
        assert_eq!(other, 0);
        assert!(begun.elapsed() < Duration::from_secs(20), "{endless}");
    }
    // The program's own questions have threads of their own.
    let own = hurried.query_trusted("select count(*) from faces", Vec::new()).await.expect("an answer");
    assert_eq!(own.collect().await.expect("rows").len(), 1);
    // Joins let go of their threads: nothing lingers for long.
    let begun = Instant::now();
    while fixture.runtime.lingering() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} queries linger", fixture.runtime.lingering());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_held_beyond_the_deadline_ends_and_a_dropped_one_stops() {
    let fixture = Fixture::new().await;
    let limits = SqlLimits { timeout: Duration::from_secs(1), ..SqlLimits::default() };
    let session = fixture.session(limits).await;
    let mut held = session.query("select value from generate_series(1, 1000000000000)").await.expect("an answer");
    assert!(held.next().await.expect("a batch").is_some());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let end = loop {
        match held.next().await {
            Ok(Some(_)) => {}
            end => break end,
        }
    };
    assert!(matches!(end, Err(Error::QueryTimeout { .. })), "{end:?}");
    drop(session.query("select value from generate_series(1, 1000000000000)").await.expect("an answer"));
    assert_eq!(number(&session, "select 1").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_bounded() {
    let fixture = Fixture::new().await;
    let limits = SqlLimits { memory_bytes: 16 << 20, max_temp_bytes: 16 << 20, ..SqlLimits::default() };
    let session = fixture.session(limits).await;
    for hog in [
        // The build side of a hash join cannot spill.
        "select count(*) from generate_series(1, 3000000) a(x) join generate_series(1, 3000000) b(y) on a.x = b.y",
        "select array_agg(value) from generate_series(1, 100000000)",
        // A column of one batch would pass what Arrow can address.
        "select s from (select repeat(cast(value as varchar), 200000000) s from generate_series(1, 1)) a
         cross join generate_series(1, 10000) b",
        // Spills, and runs out of spill space.
        "select value from generate_series(1, 30000000) order by value % 1000003, value desc limit 10000000",
    ] {
        let error = run(&session, hog).await.expect_err(hog);
        assert!(matches!(error, Error::QueryTooLarge { .. }), "{hog}: {error}");
    }
    assert_eq!(number(&session, "select count(*) from generate_series(1, 1000)").await, 1000);
}

/// One expression may not allocate what no operator accounts for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_are_bounded() {
    let fixture = Fixture::new().await;
    let session = fixture.session(SqlLimits::default()).await;
    let doublings = |first: &str, step: &str| {
        let steps: Vec<String> = (1..9).map(|i| format!("c{i} as (select {step} as s from c{})", i - 1)).collect();
        let first = format!("c0 as (select {first} as s from generate_series(1, 10))");
        format!("with {first}, {} select count(*) from c8 where s is not null", steps.join(", "))
    };
    for hog in [
        "select repeat('x', 1000000000000)".to_owned(),
        "select length(repeat(cast(value as varchar), 1000000)) from generate_series(1, 10000)".to_owned(),
        // A constant stands in every row of a batch.
        "select repeat('x', 1000000) as s from generate_series(1, 10000)".to_owned(),
        "select lpad('x', 2000000000)".to_owned(),
        "select rpad('x', 2000000000, 'yz')".to_owned(),
        format!("select length(replace('{0}', 'a', '{0}'))", "a".repeat(20_000)),
        format!("select length(regexp_replace('{0}', 'a', '{0}', 'g'))", "a".repeat(20_000)),
        "select array_repeat(1, 1000000000)".to_owned(),
        "select array_resize([1], 1000000000, 0)".to_owned(),
        doublings("repeat(cast(value as varchar), 400000)", "s || s"),
        doublings("repeat(cast(value as varchar), 400000)", "concat(s, s)"),
        doublings("repeat(cast(value as varchar), 400000)", "encode(s, 'hex')"),
        doublings("repeat(cast(value as varchar), 400000)", "overlay(s placing s from 1 for 0)"),
        doublings("repeat(cast(value as varchar), 400000)", "\"overlay\"(s, '', 1000000000, -2000000000)"),
        "select cardinality(array_replace_all(array_repeat(x, 100000), x, repeat(x, 100000)))
         from (select cast(value as varchar) as x from generate_series(1, 1))"
            .to_owned(),
        doublings("array_repeat(value, 400000)", "array_concat(s, s)"),
        doublings("array_repeat(value, 400000)", "[s, s]"),
    ] {
        let error = run(&session, &hog).await.expect_err(&hog);
        assert!(matches!(error, Error::QueryTooLarge { .. }), "{}: {error}", &hog[..hog.len().min(80)]);
    }
    for gone in [
        "select generate_series(1, 10)",
        "select range(10)",
        "select approx_percentile_cont(value, 0.5, 1000000000000) from generate_series(1, 10)",
        "select arrow_cast(1, 'FixedSizeBinary(2000000000)')",
    ] {
        assert!(run(&session, gone).await.is_err(), "{gone}");
    }
    #[derive(Deserialize)]
    struct Row {
        text: String,
        items: Vec<i64>,
        name: String,
        hex: String,
    }
    let sql = "select replace(repeat('ab', 3), 'b', '-') || lpad('7', 3, '0') as text, array_repeat(1, 2) as items, \
               overlay('Txxxxas' placing 'hom' from 2 for 4) as name, encode('ab', 'hex') as hex";
    let rows: Vec<Row> = session.query(sql).await.expect(sql).rows().await.expect("a row");
    assert_eq!((rows[0].text.as_str(), rows[0].items.as_slice()), ("a-a-a-007", [1, 1].as_slice()));
    assert_eq!((rows[0].name.as_str(), rows[0].hex.as_str()), ("Thomas", "6162"));
    // The wrapped operator is called what it was.
    assert_eq!(
        session.schema_of("select 'a' || 'b'").await.expect("a schema").field(0).name(),
        "Utf8(\"a\") || Utf8(\"b\")"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_cut_at_the_row_limit() {
    let fixture = Fixture::new().await;
    let session = fixture.session(SqlLimits { max_rows: Some(10_000), ..SqlLimits::default() }).await;
    for (rows, cut) in [(9_999, false), (10_000, false), (10_001, true), (1_000_000, true)] {
        let sql = format!("select value from generate_series(1, {rows})");
        let mut answer = session.query(&sql).await.expect("an answer");
        let mut read = 0;
        while let Some(batch) = answer.next().await.expect("a batch") {
            read += batch.num_rows();
        }
        assert_eq!((read, answer.is_truncated()), (rows.min(10_000), cut));
    }
    let own =
        session.query_trusted("select value from generate_series(1, 20000)", Vec::new()).await.expect("an answer");
    let own: usize = own.collect().await.expect("batches").iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(own, 20_000);
}
