//! Labels: one or many in one commit, once however often they are sent, and taken back.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, header};
use marginalia_store::TableId;
use serde_json::{Value, json};

use crate::bench::{Answer, Bench, json, to};

fn label(face_id: &str) -> Value {
    json!({ "face_id": face_id, "expression": "fear", "annotator": "ada" })
}

async fn keyed(bench: &Bench, key: &str, body: &Value) -> Answer {
    bench.send(json(to(Method::POST, "/api/labels").header("idempotency-key", key), body)).await
}

async fn labels_version(bench: &Bench) -> u64 {
    bench.corpus.snapshot().await.unwrap().versions()[&TableId::Labels]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn judgements_are_stored_as_they_were_sent() {
    let bench = Bench::new().await;
    let faces = bench.faces(5).await;
    let sent = json!({
        "face_id": faces[0], "expression": "happiness", "annotator": "ada", "lane": "grid", "round": 4,
        "suggestion": "fear", "seconds": 2.5, "note": "eyes closed",
    });
    let answer = bench.post("/api/labels", sent.clone()).await;
    assert_eq!(answer.status, 201);
    let stored = &answer.json()["labels"][0];
    for (name, value) in sent.as_object().unwrap() {
        assert_eq!(&stored[name], value, "{name}");
    }
    let verdicts = ["not_a_face", "unsure", "skip"];
    let sent: Vec<Value> = verdicts
        .iter()
        .zip(&faces[1..])
        .map(|(verdict, face)| json!({ "face_id": face, "verdict": verdict, "annotator": "bob" }))
        .collect();
    let stored = bench.post("/api/labels", json!(sent)).await.json();
    let said: Vec<&str> =
        stored["labels"].as_array().unwrap().iter().map(|label| label["verdict"].as_str().unwrap()).collect();
    assert_eq!(said, verdicts);
    assert_eq!(bench.count("select count(*) from current_labels where origin = 'human'").await, 4);
    assert_eq!(
        bench.count("select count(*) from current_labels where note = 'eyes closed' and seconds = 2.5").await,
        1
    );
    assert_eq!(bench.queue().await.len(), 3, "a class and not_a_face decide, unsure and skip do not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_judgements_are_one_commit_or_none() {
    let bench = Bench::new().await;
    let faces = bench.faces(50).await;
    let before = labels_version(&bench).await;
    let mut all: Vec<Value> = faces.iter().map(|face| label(face)).collect();
    all[30]["expression"] = json!("joy");
    bench.post("/api/labels", json!(all)).await.problem(422, "unknown_expression");
    assert_eq!(labels_version(&bench).await, before);
    all[30]["expression"] = json!("fear");
    let stored = bench.post("/api/labels", json!(all)).await.json();
    let order: Vec<&str> =
        stored["labels"].as_array().unwrap().iter().map(|label| label["face_id"].as_str().unwrap()).collect();
    assert_eq!(order, faces);
    assert_eq!(labels_version(&bench).await, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_again_is_answered_as_the_first_time_after_a_restart_too() {
    let bench = Bench::new().await;
    let faces = bench.faces(3).await;
    let body = json!([label(&faces[0]), label(&faces[1])]);
    let first = keyed(&bench, "a-1", &body).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (201, ""));
    let again = keyed(&bench, "a-1", &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(again.body, first.body);
    let problem = keyed(&bench, "a-1", &label(&faces[2])).await.problem(422, "reused_key");
    assert!(problem["detail"].as_str().unwrap().contains("a-1"), "{problem}");
    keyed(&bench, "a-2", &label(&faces[2])).await.json();
    // Taken back it stays the answer that was given.
    let taken_back = first.json()["labels"][1]["label_id"].as_str().unwrap().to_owned();
    bench.delete(&format!("/api/labels/{taken_back}")).await.json();
    let bench = bench.reopened().await;
    assert_eq!(keyed(&bench, "a-1", &body).await.body, first.body);
    keyed(&bench, "a-1", &json!([label(&faces[0])])).await.problem(422, "reused_key");
    assert_eq!(bench.count("select count(*) from labels where retracts is null").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_sent_by_many_at_once_is_one_label() {
    let bench = Arc::new(Bench::new().await);
    let body = label(&bench.faces(1).await[0]);
    let sending: Vec<_> = (0..8)
        .map(|_| {
            let (bench, body) = (bench.clone(), body.clone());
            tokio::spawn(async move { keyed(&bench, "same", &body).await.body })
        })
        .collect();
    let mut answers = Vec::new();
    for sent in sending {
        answers.push(sent.await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(bench.count("select count(*) from labels").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_is_taken_back_once() {
    let bench = Bench::new().await;
    let faces = bench.faces(1).await;
    let stored = bench.post("/api/labels", label(&faces[0])).await.json();
    let path = format!("/api/labels/{}", stored["labels"][0]["label_id"].as_str().unwrap());
    let taken_back = bench.delete(&path).await.json();
    assert_eq!((&taken_back["face_id"], &taken_back["retracts"]), (&json!(faces[0]), &stored["labels"][0]["label_id"]));
    assert_eq!(bench.count("select count(*) from current_labels").await, 0);
    assert_eq!(bench.count("select count(*) from labels where annotator = 'ada'").await, 2);
    bench.delete(&path).await.problem(404, "no_such_label");
    bench.delete("/api/labels/0192f0c1-0000-7000-8000-000000000000").await.problem(404, "no_such_label");
    bench.delete("/api/labels/..%2f..%2fetc%2fpasswd").await.problem(404, "no_such_label");
    bench.delete("/api/labels/%27%20or%20true%20--").await.problem(404, "no_such_label");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_in_one_step_is_taken_back_in_one() {
    let bench = Bench::new().await;
    let faces = bench.faces(20).await;
    let all: Vec<Value> = faces.iter().map(|face| label(face)).collect();
    let stored = bench.post("/api/labels", json!(all)).await.json();
    let mut ids: Vec<Value> =
        stored["labels"].as_array().unwrap().iter().map(|label| label["label_id"].clone()).collect();
    let before = labels_version(&bench).await;
    let unknown = json!("0192f0c1-0000-7000-8000-000000000000");
    let with_another = [&ids[..], &[unknown]].concat();
    bench.post("/api/retractions", json!({ "label_ids": with_another })).await.problem(404, "no_such_label");
    bench.post("/api/retractions", json!({ "label_ids": [] })).await.problem(422, "too_many");
    assert_eq!(labels_version(&bench).await, before, "all or none");
    ids.push(ids[0].clone());
    let taken = bench.post("/api/retractions", json!({ "label_ids": ids })).await.json();
    assert_eq!(taken["retractions"].as_array().unwrap().len(), 20);
    assert_eq!(labels_version(&bench).await, before + 1);
    assert_eq!(bench.count("select count(*) from current_labels").await, 0);
    assert_eq!(bench.queue().await.len(), 20);
    bench.post("/api/retractions", json!({ "label_ids": ids })).await.problem(404, "no_such_label");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn judgements_that_mean_nothing_are_refused_and_say_why() {
    let bench = Bench::new().await;
    let face = &bench.faces(1).await[0];
    let unknown = "0".repeat(64);
    let cases = [
        (json!({ "face_id": unknown, "expression": "fear", "annotator": "ada" }), "unknown_face", "0000"),
        (json!({ "face_id": "../../etc/passwd", "expression": "fear", "annotator": "ada" }), "unknown_face", "no face"),
        (json!({ "face_id": face, "expression": "joy", "annotator": "ada" }), "unknown_expression", "happiness"),
        (json!({ "face_id": face, "annotator": "ada" }), "invalid_judgement", "either"),
        (
            json!({ "face_id": face, "expression": "fear", "verdict": "skip", "annotator": "ada" }),
            "invalid_judgement",
            "either",
        ),
        (json!({ "face_id": face, "verdict": "dunno", "annotator": "ada" }), "unexpected_json", "unsure"),
        (json!({ "face_id": face, "expression": "fear" }), "no_annotator", "annotator"),
        (json!({ "face_id": face, "expression": "fear", "annotator": "a\nb" }), "invalid_judgement", "annotator"),
        (
            json!({ "face_id": face, "expression": "fear", "annotator": "a".repeat(101) }),
            "invalid_judgement",
            "annotator",
        ),
        (
            json!({ "face_id": face, "expression": "fear", "annotator": "ada", "note": "n".repeat(2001) }),
            "invalid_judgement",
            "note",
        ),
        (
            json!({ "face_id": face, "expression": "fear", "annotator": "ada", "seconds": -1 }),
            "invalid_judgement",
            "seconds",
        ),
        (
            json!({ "face_id": face, "expression": "fear", "annotator": "ada", "seconds": 1e30 }),
            "invalid_judgement",
            "seconds",
        ),
        (
            json!({ "face_id": face, "expression": "fear", "annotator": "ada", "suggestion": "joy" }),
            "invalid_judgement",
            "suggestion",
        ),
        (
            json!({ "face_id": face, "expression": "fear", "annotator": "ada", "lane": "cli" }),
            "unexpected_json",
            "grid",
        ),
        (
            json!({ "face_id": face, "expression": "fear", "annotator": "ada", "origin": "import" }),
            "unexpected_json",
            "origin",
        ),
        (json!([]), "too_many", "1 to 1000"),
        (json!(vec![label(face); 1001]), "too_many", "1 to 1000"),
    ];
    for (body, code, words) in cases {
        let problem = bench.post("/api/labels", body.clone()).await.problem(422, code);
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    let text = |content_type: &str, body: &'static str| {
        to(Method::POST, "/api/labels").header(header::CONTENT_TYPE, content_type).body(Body::from(body)).unwrap()
    };
    bench.send(text("text/plain", "{}")).await.problem(415, "unsupported_media_type");
    bench.send(text("application/json", "{\"face_id\":")).await.problem(400, "bad_json");
    for key in ["", "it's", &"k".repeat(201)] {
        keyed(&bench, key, &label(face)).await.problem(422, "invalid_judgement");
    }
    assert_eq!(bench.count("select count(*) from labels").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_in_a_name_or_note_comes_back_as_the_text_it_is() {
    let bench = Bench::new().await;
    let face = &bench.faces(1).await[0];
    let script = "<script>alert('x')</script>\u{202e}\"';--";
    let sent = json!({ "face_id": face, "expression": "fear", "annotator": script, "note": script });
    let answers = [
        bench.post("/api/labels", sent).await,
        bench.get(&format!("/api/faces/{face}")).await,
        bench.post("/api/sql", json!({ "query": "select annotator, note from labels" })).await,
    ];
    for answer in &answers {
        assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header(header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'"));
    }
    assert_eq!(answers[0].json()["labels"][0]["note"], script);
    let given = &answers[1].json()["labels"][0];
    assert_eq!((&given["annotator"], &given["note"]), (&json!(script), &json!(script)));
    assert_eq!(answers[2].json()["rows"], json!([{ "annotator": script, "note": script }]));
}
