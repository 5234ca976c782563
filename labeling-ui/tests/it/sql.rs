//! SQL over HTTP: rows as they are computed, in JSON, Arrow or Parquet, behind the walls of the session.

use std::io::Cursor;

use arrow::ipc::reader::StreamReader;
use axum::body::{Body, to_bytes};
use axum::http::{Method, header};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use crate::bench::{Bench, json, to};

const ARROW: &str = "application/vnd.apache.arrow.stream";
const PARQUET: &str = "application/vnd.apache.parquet";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_as_json_with_their_columns() {
    let bench = Bench::new().await;
    let ask = async |sql: &str| bench.post("/api/sql", json!({ "query": sql })).await.json();
    let answer = ask("select 1 as n, cast(null as varchar) as nothing, 'a\"b\n' as text, 0.5 as share").await;
    assert_eq!(answer["rows"], json!([{ "n": 1, "nothing": null, "text": "a\"b\n", "share": 0.5 }]));
    let columns = json!([
        { "name": "n", "type": "Int64" },
        { "name": "nothing", "type": "Utf8" },
        { "name": "text", "type": "Utf8" },
        { "name": "share", "type": "Float64" },
    ]);
    assert_eq!(answer["columns"], columns);
    let none = ask("select face_id from faces").await;
    assert_eq!(none, json!({ "columns": [{ "name": "face_id", "type": "Utf8" }], "rows": [] }));
    // Several batches are one list.
    let many = ask("select value from generate_series(1, 5000)").await;
    let values: Vec<u64> = many["rows"].as_array().unwrap().iter().map(|row| row["value"].as_u64().unwrap()).collect();
    assert_eq!(values, (1..=5000).collect::<Vec<_>>());
    // What was committed a moment ago is there.
    bench.faces(3).await;
    assert_eq!(ask("select count(*) as n from faces").await["rows"], json!([{ "n": 3 }]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_as_an_arrow_stream_where_it_is_asked_for() {
    let bench = Bench::new().await;
    for accept in [ARROW, "application/json;q=0.5, application/vnd.apache.arrow.stream"] {
        let request = to(Method::POST, "/api/sql").header(header::ACCEPT, accept);
        let answer = bench.send(json(request, &json!({ "query": "select value from generate_series(1, 5000)" }))).await;
        assert_eq!((answer.status.as_u16(), answer.header(header::CONTENT_TYPE)), (200, ARROW));
        let reader = StreamReader::try_new(Cursor::new(answer.body), None).unwrap();
        assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 5000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_come_as_parquet_where_it_is_asked_for() {
    let bench = Bench::new().await;
    for (query, rows, groups) in [
        ("select value, [cast(value as varchar)] as texts from generate_series(1, 100000)", 100_000, 2),
        ("select face_id from faces", 0, 0),
    ] {
        let request = to(Method::POST, "/api/sql").header(header::ACCEPT, "application/vnd.apache.parquet, */*;q=0.1");
        let answer = bench.send(json(request, &json!({ "query": query }))).await;
        assert_eq!((answer.status.as_u16(), answer.header(header::CONTENT_TYPE)), (200, PARQUET));
        let reader = ParquetRecordBatchReaderBuilder::try_new(answer.body).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), groups);
        assert_eq!(reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), rows);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_parquet_has_no_type_for_is_a_problem_of_its_own() {
    let bench = Bench::new().await;
    let ask = async |accept: &str, sql: &str| {
        let request = to(Method::POST, "/api/sql").header(header::ACCEPT, accept);
        bench.send(json(request, &json!({ "query": sql }))).await
    };
    let sql = "select interval '1 month' as age";
    let problem = ask(PARQUET, sql).await.problem(422, "query_failed");
    assert!(problem["detail"].as_str().unwrap().contains("MonthDayNano"), "{problem}");
    assert_eq!(ask(ARROW, sql).await.status, 200);
    assert_eq!(ask(PARQUET, "select cast(interval '1 month' as varchar) as age").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_reads_the_corpus_is_answered_and_nothing_else() {
    let bench = Bench::new().await;
    let refused = [
        "insert into labels values (1)",
        "drop table faces",
        "create external table t stored as csv location '/etc/passwd'",
        "copy faces to '/tmp/x.csv'",
        "select * from '/etc/passwd'",
        "select 1; select 2",
        "set datafusion.execution.batch_size = 1",
        "select * from truth",
        "select * from tombstones",
        "selec 1",
        "",
    ];
    for sql in refused {
        let answer = bench.post("/api/sql", json!({ "query": sql })).await;
        assert_eq!(answer.status, 422, "{sql}");
        let code: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(["query_refused", "query_failed"].contains(&code["code"].as_str().unwrap()), "{sql}: {code}");
    }
    bench.post("/api/sql", json!({ "query": "select 1", "at_round": 7 })).await.problem(404, "no_such_round");
    bench.post("/api/sql", json!({ "query": "select 1", "at": "2001-01-01" })).await.problem(410, "time_not_kept");
    bench.post("/api/sql", json!({ "query": "select 1", "at": "soon" })).await.problem(400, "no_time");
    bench
        .post("/api/sql", json!({ "query": "select 1", "at": "2001-01-01", "at_round": 1 }))
        .await
        .problem(400, "two_moments");
    bench.post("/api/sql", json!({ "sql": "select 1" })).await.problem(422, "unexpected_json");
    let plain = to(Method::POST, "/api/sql").body(Body::from("select 1")).unwrap();
    bench.send(plain).await.problem(415, "unsupported_media_type");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_in_the_middle_is_never_taken_for_the_whole() {
    let bench = Bench::new().await;
    let sql = "select 1 / (value - 50000) as n from generate_series(1, 100000)";
    for accept in ["application/json", ARROW, PARQUET] {
        let request = json(to(Method::POST, "/api/sql").header(header::ACCEPT, accept), &json!({ "query": sql }));
        let answer = bench.begin(request).await;
        assert_eq!(answer.status(), 200);
        assert!(to_bytes(answer.into_body(), usize::MAX).await.is_err(), "{accept}");
    }
    // In the first rows it is a problem like any other.
    let sql = "select 1 / (value - 50) as n from generate_series(1, 100)";
    bench.post("/api/sql", json!({ "query": sql })).await.problem(422, "query_failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_hold_their_places_and_free_them() {
    let bench = Bench::new().await;
    let request =
        || json(to(Method::POST, "/api/sql"), &json!({ "query": "select value from generate_series(1, 10000000)" }));
    let mut unread = Vec::new();
    for _ in 0..bench.sql.threads() {
        let answer = bench.begin(request()).await;
        assert_eq!(answer.status(), 200);
        unread.push(answer);
    }
    bench.send(request()).await.problem(429, "too_many_queries");
    unread.pop();
    let answer = bench.begin(request()).await;
    assert_eq!(answer.status(), 200);
}
