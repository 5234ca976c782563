//! Long lists come in parts: all of it once, whatever comes in or goes between two of them.

use axum::http::Method;
use marginalia_store::Timestamp;
use marginalia_store::tables::flags::Flag;
use marginalia_store::tables::rounds::Round;
use serde_json::{Value, json};

use crate::bench::{Bench, json, marker, to};

/// One part: what stands in it by this column, and where the next begins.
async fn part(bench: &Bench, path: &str, column: &str) -> (Vec<Value>, Option<String>) {
    let answer = bench.get(path).await.json();
    let list = path.trim_start_matches("/api/").split('?').next().unwrap();
    let rows = answer[list].as_array().unwrap().iter().map(|row| row[column].clone());
    (rows.collect(), answer["next"].as_str().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flag_behind_the_five_hundredth_is_in_the_next_part() {
    let bench = Bench::new().await;
    let face = bench.faces(1).await.remove(0);
    let id = |n: u32| format!("0192f0c1-0000-7000-8000-{n:012}");
    let flag = |n: u32| Flag {
        flag_id: id(n),
        face_id: face.clone(),
        annotator: "bob".to_owned(),
        note: Some(format!("flag {n}")),
        created_at: Timestamp(n.into()),
        retracts: None,
    };
    bench.corpus.writer::<Flag>().append((1..=501).map(flag).collect()).await.unwrap();
    let (newest, next) = part(&bench, "/api/flags", "flag_id").await;
    assert_eq!(newest, (2..=501).rev().map(|n| json!(id(n))).collect::<Vec<_>>());
    let next = next.expect("there is one more");
    // Another flag comes in, and the one that the part ended with goes.
    let sent = json!({ "face_id": face, "annotator": "bob", "note": "the newest" });
    bench.post("/api/flags", sent).await.json();
    assert_eq!(bench.delete(&format!("/api/flags/{}?annotator=bob", id(2))).await.status, 204);
    let rest = part(&bench, &format!("/api/flags?after={next}"), "note").await;
    assert_eq!(rest, (vec![json!("flag 1")], None));
    let (newest, next) = part(&bench, "/api/flags?limit=1", "note").await;
    assert_eq!((newest, next.is_some()), (vec![json!("the newest")], true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_and_queries_come_in_parts_too() {
    let bench = Bench::new().await;
    let rounds = (1..=3).map(|round| Round { round, ..marker() });
    bench.corpus.writer::<Round>().append(rounds.collect()).await.unwrap();
    let first = part(&bench, "/api/rounds?limit=2", "round").await;
    assert_eq!(first, (vec![json!(1), json!(2)], Some("2".to_owned())));
    assert_eq!(part(&bench, "/api/rounds?limit=2&after=2", "round").await, (vec![json!(3)], None));
    for name in ["b", "a", "c"] {
        let query = to(Method::PUT, &format!("/api/queries/{name}"));
        bench.send(json(query, &json!({ "sql": "select 1" }))).await.json();
    }
    let first = part(&bench, "/api/queries?limit=2", "name").await;
    assert_eq!(first, (vec![json!("a"), json!("b")], Some("b".to_owned())));
    assert_eq!(part(&bench, "/api/queries?after=b", "name").await, (vec![json!("c")], None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_part_of_a_list_is_refused() {
    let bench = Bench::new().await;
    for path in ["/api/flags", "/api/rounds", "/api/queries"] {
        for limit in ["0", "501"] {
            bench.get(&format!("{path}?limit={limit}")).await.problem(400, "bad_limit");
        }
        bench.get(&format!("{path}?limit=all")).await.problem(400, "bad_request");
        bench.get(&format!("{path}?page=2")).await.problem(400, "bad_request");
    }
    for path in ["/api/flags?after=%27%20or%20true%20--", "/api/flags?after=1", "/api/rounds?after=first"] {
        bench.get(path).await.problem(400, "bad_after");
    }
}
