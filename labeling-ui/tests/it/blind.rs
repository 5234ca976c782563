//! A corpus in which only admins are told whose word is whose: everybody else meets pseudonyms, whatever way they ask.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::Method;
use marginalia_labeling_ui::api::Limits;
use marginalia_store::Options;
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, json};
use crate::gate::{tokens, with_token};

/// Somebody who judges too, with a name that stands nowhere else.
const OTHER: &str = "Wilhelmina";

async fn get(bench: &Bench, token: &str, path: &str) -> Answer {
    bench.send(with_token(Method::GET, path, token).body(Body::empty()).unwrap()).await
}

async fn send(bench: &Bench, token: &str, method: Method, path: &str, body: Value) -> Answer {
    bench.send(json(with_token(method, path, token).header("idempotency-key", "k"), &body)).await
}

async fn sql(bench: &Bench, token: &str, query: &str) -> Vec<Value> {
    let answer = send(bench, token, Method::POST, "/api/sql", json!({ "query": query })).await.json();
    answer["rows"].as_array().unwrap().clone()
}

/// Two faces that ada and somebody else judged, a flag of the other's, and a query that an admin keeps.
async fn judged(blind: bool) -> (Bench, String) {
    let bench = Bench::made(Options { blind, ..Options::default() }, Limits::default(), tokens()).await;
    let faces = bench.faces(2).await;
    let label = |face: &str, annotator: &str| json!({ "face_id": face, "expression": "fear", "annotator": annotator });
    send(&bench, "a", Method::POST, "/api/labels", label(&faces[0], "ada")).await.json();
    let others = json!([label(&faces[0], OTHER), label(&faces[1], OTHER)]);
    let key = with_token(Method::POST, "/api/labels", "root").header("idempotency-key", "other");
    bench.send(json(key, &others)).await.json();
    let flag = json!({ "face_id": faces[0], "annotator": OTHER, "note": "two of them" });
    send(&bench, "root", Method::POST, "/api/flags", flag).await.json();
    send(&bench, "root", Method::PUT, "/api/queries/q", json!({ "sql": "select 1" })).await.json();
    (bench, faces[0].clone())
}

/// Whose labels somebody is told of when they look at a face.
async fn annotators(bench: &Bench, token: &str, face: &str) -> Vec<String> {
    let story = get(bench, token, &format!("/api/faces/{face}")).await.json();
    let labels = story["labels"].as_array().unwrap().iter();
    labels.map(|label| label["annotator"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_have_a_pseudonym_for_all_but_admins_and_it_is_the_same_everywhere() {
    let (bench, face) = judged(true).await;
    assert_eq!(annotators(&bench, "root", &face).await, ["ada", OTHER]);
    let hers = annotators(&bench, "a", &face).await;
    let (own, other) = (&hers[0], &hers[1]);
    assert!(own == "ada" && other.starts_with("annotator-"), "{hers:?}");
    for token in ["r", "b"] {
        let told = annotators(&bench, token, &face).await;
        assert!(told[0].starts_with("annotator-") && told[0] != told[1], "{told:?}");
        assert_eq!(&told[1], other);
    }
    assert_eq!(get(&bench, "a", "/api/flags").await.json()["flags"][0]["annotator"], json!(other));
    assert_eq!(get(&bench, "root", "/api/flags").await.json()["flags"][0]["annotator"], OTHER);
    let author = async |token| get(&bench, token, "/api/queries").await.json()["queries"][0]["author"].clone();
    assert_eq!(author("root").await, "root");
    assert!(author("a").await.as_str().unwrap().starts_with("annotator-"));
    for (token, blind) in [("r", true), ("a", true), ("root", false)] {
        assert_eq!(get(&bench, token, "/api/session").await.json()["blind"], blind, "{token}");
    }
    let hers = sql(&bench, "root", &format!("select label_id from labels where annotator = '{OTHER}' limit 1")).await;
    let path = format!("/api/labels/{}", hers[0]["label_id"].as_str().unwrap());
    let refused = send(&bench, "a", Method::DELETE, &path, json!({})).await.problem(403, "other_annotator");
    assert!(!refused.to_string().contains(OTHER), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_knows_people_by_what_they_are_told_as() {
    let (bench, face) = judged(true).await;
    let other = annotators(&bench, "a", &face).await.remove(1);
    let count = async |token, annotator: &str| {
        let query = format!("select count(*) as n from labels where annotator = '{annotator}'");
        sql(&bench, token, &query).await[0]["n"].clone()
    };
    assert_eq!((count("root", OTHER).await, count("root", &other).await), (json!(2), json!(0)));
    for (annotator, labels) in [(OTHER, 0), (other.as_str(), 2), ("ada", 1)] {
        assert_eq!(count("a", annotator).await, labels, "{annotator}");
    }
    let pair = sql(&bench, "a", "select annotator, other, agreed from annotator_agreement").await;
    assert_eq!(pair, [json!({ "annotator": "ada", "other": other, "agreed": 1 })]);
    // A state of before is another session.
    let query = "select distinct annotator from current_labels order by annotator";
    let before = json!({ "query": query, "at": "2999-01-01" });
    let before = send(&bench, "a", Method::POST, "/api/sql", before).await.json();
    assert_eq!(before["rows"], json!([{ "annotator": "ada" }, { "annotator": other }]));
    // One that looks for a face, whose plan is remembered for all who ask.
    let of_face = format!("select annotator from labels where face_id = '{face}' order by annotator");
    for (token, names) in [("root", [OTHER, "ada"]), ("a", ["ada", other.as_str()]), ("root", [OTHER, "ada"])] {
        let rows: Vec<Value> = names.iter().map(|name| json!({ "annotator": name })).collect();
        assert_eq!(sql(&bench, token, &of_face).await, rows, "{token}");
    }
}

/// Tables and views that have one of these words in a text, as the bearer of a token reads them.
async fn found(bench: &Bench, token: &str, words: &[&str]) -> BTreeSet<String> {
    let columns = "select table_name, column_name from information_schema.columns \
                   where table_schema = 'public' and data_type like '%Utf8%'";
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in sql(bench, token, columns).await {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        tables.entry(text("table_name")).or_default().push(format!("\"{}\"", text("column_name")));
    }
    assert!(tables.len() > 30, "{tables:?}");
    let mut found = BTreeSet::new();
    for (table, columns) in tables {
        let rows = sql(bench, token, &format!("select {} from \"{table}\"", columns.join(", "))).await;
        let read = json!(rows).to_string();
        if words.iter().any(|word| read.contains(word)) {
            found.insert(table);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_table_and_no_view_has_a_name_for_those_who_are_not_told() {
    let (bench, _) = judged(true).await;
    let names = [OTHER, "\"root\""];
    let told = found(&bench, "root", &names).await;
    for table in [
        "annotations",
        "annotator_agreement",
        "annotator_confusion",
        "audit_log",
        "changes",
        "current_labels",
        "flagged",
        "flags",
        "label_throughput",
        "labels",
        "provenance",
        "saved_queries",
    ] {
        assert!(told.contains(table), "{table} is not among {told:?}");
    }
    assert_eq!(found(&bench, "a", &names).await, BTreeSet::new());
    assert_eq!(found(&bench, "r", &[OTHER, "\"root\"", "\"ada\""]).await, BTreeSet::new());
    // Nor what a name could be guessed from.
    let clues = "select count(request_hash) as hashes, (select count(target) from audit_log) as targets from labels";
    assert_eq!(sql(&bench, "a", clues).await, [json!({ "hashes": 0, "targets": 0 })]);
    assert_eq!(sql(&bench, "root", clues).await, [json!({ "hashes": 3, "targets": 1 })]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_told_where_nobody_says_otherwise() {
    let (bench, face) = judged(false).await;
    assert_eq!(annotators(&bench, "r", &face).await, ["ada", OTHER]);
    assert!(found(&bench, "a", &[OTHER]).await.contains("labels"));
}
