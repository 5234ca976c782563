//! Statements that another parser made: the same walls, values for their parameters, answers read in steps.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ParamValues;
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::Statement;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use marginalia_store::{Answer, Error, Pace, Prepared, Session, SqlLimits, SqlRuntime};
use tokio::time::Instant;

use crate::slt::new_corpus;

struct Fixture {
    _folder: tempfile::TempDir,
    runtime: SqlRuntime,
    session: Session,
}

fn pace() -> Pace {
    Pace::within(Duration::from_secs(30))
}

fn parser(text: &str) -> Result<Vec<Statement>, ParserError> {
    Parser::parse_sql(&PostgreSqlDialect {}, text)
}

fn values(values: Vec<ScalarValue>) -> ParamValues {
    ParamValues::from(values)
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let corpus = new_corpus(&folder.path().join("corpus")).await;
        let runtime = SqlRuntime::new().unwrap();
        let snapshot = corpus.snapshot().await.unwrap();
        let session = Session::open(&runtime, snapshot, SqlLimits::default()).await.unwrap();
        Self { _folder: folder, runtime, session }
    }

    async fn prepare(&self, sql: &str, hints: Vec<Option<DataType>>) -> Result<Prepared, Error> {
        let limits = SqlLimits::default();
        let mut parsed = self.runtime.parse(sql, PostgreSqlDialect {}, &limits, pace(), parser).await?;
        assert_eq!(parsed.len(), 1, "{sql}");
        self.session.prepare(Arc::from(sql), parsed.remove(0), hints, pace()).await
    }
}

async fn number(answer: Answer) -> i64 {
    answer.collect().await.unwrap()[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_is_planned_once_and_run_with_values() {
    let fixture = Fixture::new().await;
    let sum = fixture.prepare("select sum(value) from generate_series(1, 10) where value > $1", vec![]).await.unwrap();
    assert_eq!(sum.parameters, [DataType::Int64]);
    for (above, expected) in [(0, 55), (5, 40), (9, 10)] {
        let answer = sum.run(values(vec![ScalarValue::Int64(Some(above))]), pace()).await.unwrap();
        assert_eq!(number(answer).await, expected);
    }
    // What the plan says, else a cast, else what the client says, else text.
    let typed =
        fixture.prepare("select $1::bigint, $2, $3 from faces where width = $4", vec![None, Some(DataType::Int32)]);
    let typed = typed.await.unwrap();
    assert_eq!(typed.parameters, [DataType::Int64, DataType::Int32, DataType::Utf8, DataType::UInt32]);
    let columns: Vec<&DataType> = typed.schema.fields().iter().map(|field| field.data_type()).collect();
    assert_eq!(columns, [&DataType::Int64, &DataType::Int32, &DataType::Utf8]);
    let missing = sum.run(values(vec![]), pace()).await.err().expect("a value is missing");
    assert!(missing.to_string().contains("$1"), "{missing}");
    for bad in ["select $name", "select $0", "select $99999999999"] {
        let refused = fixture.prepare(bad, vec![]).await.err().expect(bad);
        assert!(matches!(refused, Error::QueryRefused { .. } | Error::QueryFailed { .. }), "{bad}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_walls_are_the_same() {
    let fixture = Fixture::new().await;
    let n = 10_000;
    for refused in [
        "insert into labels values (1)".to_owned(),
        "copy faces to '/tmp/x'".to_owned(),
        "create table t as select 1".to_owned(),
        "create view v as select 1".to_owned(),
        "set datafusion.execution.batch_size = 1".to_owned(),
        "explain analyze insert into labels values (1)".to_owned(),
        "with recursive t as (select 1 as a union all select a + 1 from t) select * from t".to_owned(),
        format!("select {}", vec!["1"; n].join("+")),
        format!("select {}", vec!["true"; n].join(" or ")),
        vec!["select 1"; n].join(" union all "),
        format!("select {}1{}", "(".repeat(n), ")".repeat(n)),
        format!("select {}", "x".repeat(100_000)),
    ] {
        let error = fixture.prepare(&refused, vec![]).await.err().unwrap_or_else(|| panic!("{:.60}", refused));
        assert!(matches!(error, Error::QueryRefused { .. }), "{refused:.60}: {error}");
    }
    for failed in ["selec 1", "select * from '/etc/passwd'", "select * from truth", "select * from tokens"] {
        assert!(fixture.prepare(failed, vec![]).await.is_err(), "{failed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_read_in_steps_that_have_their_own_time() {
    let fixture = Fixture::new().await;
    let endless = "select value from generate_series(1, 1000000000000000000)";
    let endless = fixture.prepare(endless, vec![]).await.unwrap();
    let short = Pace { timeout: Duration::from_secs(1), ..pace() };
    // As a whole it ends; in steps it goes on behind the time that its beginning had.
    let mut whole = endless.run(values(vec![]), short).await.unwrap();
    let mut steps = endless.run(values(vec![]), Pace { held: Some(Duration::from_secs(600)), ..short }).await.unwrap();
    assert!(steps.next().await.unwrap().is_some());
    let ended = loop {
        match whole.next().await {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    assert!(matches!(ended, Err(Error::QueryTimeout { seconds: 1 })), "{ended:?}");
    assert!(steps.next_by(Instant::now() + Duration::from_secs(30)).await.unwrap().is_some());
    // A step that takes too long ends it.
    let nothing = "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    let nothing = fixture.prepare(nothing, vec![]).await.unwrap();
    let held = Pace { held: Some(Duration::from_secs(600)), ..pace() };
    let mut nothing = nothing.run(values(vec![]), held).await.unwrap();
    let step = nothing.next_by(Instant::now() + Duration::from_millis(100)).await;
    assert!(matches!(step, Err(Error::QueryTimeout { .. })), "{step:?}");
    assert!(nothing.next().await.unwrap_or_default().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_run_side_by_side_as_there_are_threads() {
    let fixture = Fixture::new().await;
    let endless = "select value from generate_series(1, 1000000000000000000)";
    let endless = fixture.prepare(endless, vec![]).await.unwrap();
    let patient = || Pace::within(Duration::from_secs(600));
    let threads = fixture.runtime.threads();
    // What is read in steps gives its place back with its first rows, or cursors would keep everybody out.
    let mut cursors = Vec::new();
    for _ in 0..2 * threads {
        let held = Pace { held: Some(Duration::from_secs(600)), ..patient() };
        let mut cursor = endless.run(values(vec![]), held).await.unwrap();
        assert!(cursor.next().await.unwrap().is_some());
        cursors.push(cursor);
    }
    let mut running = Vec::new();
    for _ in 0..threads {
        running.push(endless.run(values(vec![]), patient()).await.unwrap());
    }
    let hurried = endless.run(values(vec![]), Pace::within(Duration::from_secs(2))).await.err();
    assert!(matches!(hurried, Some(Error::QueryTurnedAway(1))), "{hurried:?}");
    let (next, ()) = tokio::join!(endless.run(values(vec![]), patient()), async { drop(running.pop()) });
    assert!(next.unwrap().next().await.unwrap().is_some());
}
