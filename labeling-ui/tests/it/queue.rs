//! The queue: its exact top, to each face one person at a time, or why there is nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use marginalia_labeling_ui::Gate;
use marginalia_labeling_ui::api::Limits;
use marginalia_store::tables::faces::Face;
use marginalia_store::{Held, SqlRuntime};
use serde_json::{Value, json};

use crate::bench::{Bench, face};

/// Far longer than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

fn ids(served: &Value) -> Vec<String> {
    let tasks = served["tasks"].as_array().unwrap();
    tasks.iter().map(|task| task["face_id"].as_str().unwrap().to_owned()).collect()
}

async fn take(bench: &Bench, annotator: &str, limit: usize) -> Value {
    bench.get(&format!("/api/queue?annotator={annotator}&limit={limit}")).await.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_at_once_are_given_the_top_of_the_queue_each_face_once() {
    let bench = Arc::new(Bench::new().await);
    let queue = bench.faces(60).await;
    assert_eq!(queue.len(), 60);
    let asking: Vec<_> = (0..8)
        .map(|n| {
            let bench = bench.clone();
            tokio::spawn(async move { take(&bench, &format!("annotator-{n}"), 5).await })
        })
        .collect();
    let place: BTreeMap<&str, usize> = queue.iter().enumerate().map(|(n, id)| (id.as_str(), n)).collect();
    let mut given = BTreeSet::new();
    for asked in asking {
        let served = asked.await.unwrap();
        let places: Vec<usize> = ids(&served).iter().map(|id| place[id.as_str()]).collect();
        assert!(places.len() == 5 && places.is_sorted(), "{places:?}");
        assert!(places.iter().all(|place| given.insert(*place)), "a face was given to two: {places:?}");
        assert_eq!(served["waiting"], 60);
    }
    assert_eq!(given, (0..40).collect());
    // Again the same, and what comes next follows where the others end.
    let again = take(&bench, "annotator-3", 5).await;
    assert!(ids(&again).iter().all(|id| given.contains(&place[id.as_str()])));
    assert_eq!(ids(&take(&bench, "late", 3).await), queue[40..43]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_who_take_and_judge_at_once_judge_every_face_once() {
    let bench = Arc::new(Bench::new().await);
    bench.faces(48).await;
    let working: Vec<_> = (0..6)
        .map(|n| {
            let bench = bench.clone();
            tokio::spawn(async move {
                let annotator = format!("annotator-{n}");
                let mut judged = Vec::new();
                loop {
                    let served = take(&bench, &annotator, 3).await;
                    let faces = ids(&served);
                    if faces.is_empty() {
                        // The last ones are in other hands, and come back to nobody.
                        let reason = served["nothing"]["reason"].as_str().unwrap();
                        assert!(["with_others", "all_labelled"].contains(&reason), "{served}");
                        return judged;
                    }
                    let label =
                        |face: &String| json!({ "face_id": face, "expression": "fear", "annotator": annotator });
                    let labels: Vec<Value> = faces.iter().map(label).collect();
                    bench.post("/api/labels", json!(labels)).await.json();
                    judged.extend(faces);
                }
            })
        })
        .collect();
    let mut judged = Vec::new();
    for worker in working {
        judged.extend(worker.await.unwrap());
    }
    let distinct: BTreeSet<&String> = judged.iter().collect();
    assert_eq!((judged.len(), distinct.len()), (48, 48), "a face was handed out again after it was judged");
    assert_eq!(take(&bench, "late", 3).await["nothing"]["reason"], "all_labelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_answer_says_why() {
    let bench = Bench::new().await;
    let nothing = |served: Value| {
        assert!(served["tasks"].as_array().unwrap().is_empty(), "{served}");
        assert!(served["nothing"]["message"].as_str().unwrap().ends_with('.'), "{served}");
        served["nothing"].clone()
    };
    assert_eq!(nothing(take(&bench, "ada", 5).await)["reason"], "no_faces");
    let queue = bench.faces(2).await;
    assert_eq!(ids(&take(&bench, "ada", 5).await), queue);
    let leased = nothing(take(&bench, "bob", 5).await);
    assert_eq!((leased["reason"].as_str(), leased["faces"].as_u64()), (Some("with_others"), Some(2)));
    let seconds = leased["retry_after_seconds"].as_f64().unwrap();
    assert!(seconds > 0.0 && seconds <= 60.0, "{seconds}");
    // What she skips is for others.
    for face in &queue {
        let skip = json!({ "face_id": face, "verdict": "skip", "annotator": "ada" });
        bench.post("/api/labels", skip).await.json();
    }
    let hers = nothing(take(&bench, "ada", 5).await);
    assert_eq!((hers["reason"].as_str(), hers["faces"].as_u64()), (Some("judged_before"), Some(2)));
    assert_eq!(ids(&take(&bench, "bob", 5).await), queue);
    for face in &queue {
        let label = json!({ "face_id": face, "expression": "fear", "annotator": "bob" });
        bench.post("/api/labels", label).await.json();
    }
    assert_eq!(nothing(take(&bench, "ada", 5).await)["reason"], "all_labelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_every_face_reached_its_margin_that_is_the_reason() {
    let bench = Bench::new().await;
    let queue = bench.faces(2).await;
    bench.round(&[(&queue[0], "fear", 0.9, None), (&queue[1], "fear", 0.95, None)]).await;
    let served = take(&bench, "ada", 5).await;
    assert_eq!((&served["round"], &served["nothing"]["reason"]), (&json!(1), &json!("all_sure")), "{served}");
    assert_eq!(served["nothing"]["faces"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_opinion_is_asked_of_others_blindly_and_once() {
    let bench = Bench::new().await;
    let queue = bench.faces(2).await;
    bench.labelled_before(&queue[0], "fear", "bob").await;
    bench.round(&[(&queue[1], "happiness", 0.5, Some("queue")), (&queue[0], "fear", 0.9, Some("review"))]).await;
    let served = bench.get("/api/queue?annotator=ada&limit=5").await.json();
    assert_eq!(served["waiting"], 2);
    let again = &served["tasks"][1];
    assert_eq!((&again["face_id"], &again["lane"]), (&json!(queue[0]), &json!("review")), "{served}");
    assert_eq!((&again["expression"], &again["confidence"]), (&Value::Null, &Value::Null));
    bench.delete("/api/leases?annotator=ada").await.json();
    let own = bench.get("/api/queue?annotator=bob&limit=5").await.json();
    assert_eq!(own["tasks"].as_array().unwrap().len(), 1, "whoever said it is not asked again: {own}");
    bench.delete("/api/leases?annotator=bob").await.json();
    bench.get("/api/queue?annotator=ada&limit=5").await.json();
    let stored = bench
        .post("/api/labels", json!({ "face_id": queue[0], "expression": "neutral", "annotator": "ada" }))
        .await
        .json();
    let stored = &stored["labels"][0];
    assert_eq!((&stored["lane"], &stored["round"], &stored["suggestion"]), (&json!("review"), &json!(1), &Value::Null));
    assert_eq!(bench.count("select count(*) from second_opinions").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audited_face_is_shown_without_the_models_word() {
    let bench = Bench::new().await;
    let queue = bench.faces(2).await;
    bench.round(&[(&queue[0], "fear", 0.9, Some("audit")), (&queue[1], "happiness", 0.5, Some("queue"))]).await;
    let served = take(&bench, "ada", 5).await;
    let (blind, open) = (&served["tasks"][0], &served["tasks"][1]);
    assert_eq!((blind["lane"].as_str(), open["lane"].as_str()), (Some("audit"), Some("queue")), "{served}");
    assert!(blind["expression"].is_null() && blind["confidence"].is_null() && blind["margin"].is_null(), "{blind}");
    assert_eq!((open["expression"].as_str(), open["confidence"].as_f64()), (Some("happiness"), Some(0.5)), "{open}");
    // What a judgement leaves out is as the queue handed the face out.
    let judged = |face: &str| json!({ "face_id": face, "expression": "fear", "annotator": "ada" });
    let labels = bench.post("/api/labels", json!([judged(&queue[0]), judged(&queue[1])])).await.json();
    let (blind, open) = (&labels["labels"][0], &labels["labels"][1]);
    assert_eq!((&blind["lane"], &blind["round"], &blind["suggestion"]), (&json!("audit"), &json!(1), &Value::Null));
    assert_eq!((&open["lane"], &open["round"], &open["suggestion"]), (&json!("queue"), &json!(1), &json!("happiness")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_live_by_heartbeats_and_are_put_back() {
    let bench = Bench::new().await;
    let queue = bench.faces(3).await;
    assert_eq!(ids(&take(&bench, "ada", 2).await), queue[..2]);
    let beat = json!({ "annotator": "ada", "face_ids": [queue[0], queue[2]] });
    let kept = bench.post("/api/leases", beat).await.json();
    assert_eq!((&kept["held"], &kept["lost"]), (&json!([queue[0]]), &json!([queue[2]])));
    assert_eq!(kept["lease_seconds"], 60.0);
    assert_eq!(ids(&take(&bench, "bob", 3).await), queue[2..]);
    let put_back = bench.delete(&format!("/api/leases?annotator=ada&face_ids={}", queue[1])).await.json();
    assert_eq!(put_back["released"], 1);
    assert_eq!(ids(&take(&bench, "bob", 3).await), queue[1..]);
    // Nobody puts back what others have.
    let put_back = bench.delete(&format!("/api/leases?annotator=eve&face_ids={}", queue[0])).await.json();
    assert_eq!(put_back["released"], 0);
    assert_eq!(bench.delete("/api/leases?annotator=bob").await.json()["released"], 2);
    assert_eq!(ids(&take(&bench, "eve", 3).await), queue[1..]);
}

/// Two grids and a queue: what one of them shows none of the others does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faces_that_were_chosen_are_one_persons_at_a_time_and_not_in_the_queue() {
    let bench = Bench::new().await;
    let queue = bench.faces(6).await;
    let hold = async |annotator: &str, faces: &[String]| {
        let sent = json!({ "annotator": annotator, "face_ids": faces, "take": true });
        let kept = bench.post("/api/leases", sent).await.json();
        (kept["held"].clone(), kept["lost"].clone())
    };
    assert_eq!(ids(&take(&bench, "ada", 1).await), queue[..1]);
    assert_eq!(hold("bob", &queue[..3]).await, (json!(queue[1..3]), json!(queue[..1])));
    assert_eq!(hold("eve", &queue[2..4]).await, (json!(queue[3..4]), json!(queue[2..3])));
    let served = take(&bench, "ada", 6).await;
    assert_eq!((ids(&served), &served["with_others"]), ([&queue[..1], &queue[4..]].concat(), &json!(3)));
    // A judgement says itself where it was made, and ends the lease.
    let label = json!({ "face_id": queue[1], "expression": "fear", "annotator": "bob", "lane": "grid" });
    assert_eq!(bench.post("/api/labels", label).await.json()["labels"][0]["lane"], "grid");
    assert_eq!(hold("eve", &queue[1..2]).await.0, json!(queue[1..2]));
    // What is put back is for everybody.
    let put_back = bench.delete(&format!("/api/leases?annotator=bob&face_ids={}", queue[2])).await.json();
    assert_eq!(put_back["released"], 1);
    assert_eq!(hold("eve", &queue[2..3]).await.0, json!(queue[2..3]));
    assert_eq!(hold("eve", &["x".to_owned()]).await, (json!([]), json!(["x"])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_over_keeps_nobody_out() {
    let limits = Limits { lease: Duration::ZERO, ..Limits::default() };
    let bench = Bench::with(limits, Gate::Loopback).await;
    let queue = bench.faces(3).await;
    assert_eq!(ids(&take(&bench, "ada", 3).await), queue);
    assert_eq!(ids(&take(&bench, "bob", 3).await), queue);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_face_that_is_taken_back_stands_in_the_queue_again() {
    let bench = Bench::new().await;
    let queue = bench.faces(2).await;
    let label = json!({ "face_id": queue[0], "expression": "fear", "annotator": "ada" });
    let label = bench.post("/api/labels", label).await.json()["labels"][0]["label_id"].clone();
    assert_eq!(ids(&take(&bench, "ada", 2).await), queue[1..]);
    bench.delete(&format!("/api/labels/{}", label.as_str().unwrap())).await.json();
    assert_eq!(ids(&take(&bench, "ada", 2).await), queue);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_that_make_no_sense_are_refused() {
    let bench = Bench::new().await;
    bench.get("/api/queue?annotator=ada&limit=0").await.problem(400, "bad_limit");
    bench.get("/api/queue?annotator=ada&limit=101").await.problem(400, "bad_limit");
    bench.get("/api/queue?annotator=ada&limit=many").await.problem(400, "bad_request");
    bench.get("/api/queue?annotator=ada&lane=x").await.problem(400, "bad_request");
    bench.get("/api/queue").await.problem(422, "no_annotator");
    bench.get("/api/queue?annotator=%20").await.problem(422, "no_annotator");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faces_are_handed_out_from_what_was_read_and_new_ones_follow() {
    let bench = Bench::new().await;
    let queue = bench.faces(20).await;
    assert_eq!(ids(&take(&bench, "ada", 2).await), queue[..2]);
    for face in &queue[..2] {
        let label = json!({ "face_id": face, "expression": "fear", "annotator": "ada" });
        bench.post("/api/labels", label).await.json();
        // Whether it was read anew yet or not, nobody is given what was judged.
        assert_ne!(&ids(&take(&bench, "ada", 1).await)[0], face);
    }
    // More than was known: the tables are looked at.
    let all = bench.faces(30).await;
    assert_eq!(all.len(), 28);
    let served: BTreeSet<String> = ids(&take(&bench, "ada", 28).await).into_iter().collect();
    assert_eq!(served, all.into_iter().collect());
}

/// Questions that were asked in [`slowly`].
static QUESTIONS: AtomicUsize = AtomicUsize::new(0);

/// Counts a question, and makes it take long.
fn slowly() -> Held {
    QUESTIONS.fetch_add(1, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(300));
    Box::new(())
}

/// 256 faces are read at first. Once half of them are judged 1024 are read while nobody waits, since that takes long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_slow_to_read_is_read_deep_and_before_it_is_used_up() {
    let bench = Bench::new().await.asked_by(SqlRuntime::holding(slowly).unwrap());
    let rows: Vec<Face> = (0..1200_u32).map(|n| face(&n.to_le_bytes())).collect();
    bench.corpus.writer::<Face>().append(rows).await.unwrap();
    let queue = bench.queue().await;
    assert_eq!(ids(&take(&bench, "ada", 1).await), queue[..1]);
    let label = |face: &String| json!({ "face_id": face, "expression": "fear", "annotator": "ada" });
    let labels: Vec<Value> = queue[..140].iter().map(label).collect();
    bench.post("/api/labels", json!(labels)).await.json();
    let questions = || QUESTIONS.load(Ordering::SeqCst);
    let (before, asked) = (questions(), Instant::now());
    assert_eq!(ids(&take(&bench, "bob", 1).await), queue[140..141]);
    while questions() == before {
        assert!(asked.elapsed() < HANG, "it is not read before somebody has to wait for it");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Waits until that reading is over, and finds that nothing has changed.
    assert!(bench.get("/metrics").await.status.is_success());
    let read = questions();
    let mut given = BTreeSet::new();
    for person in 0..8 {
        given.extend(ids(&take(&bench, &format!("annotator-{person}"), 100).await));
    }
    assert_eq!(given, queue[141..941].iter().cloned().collect());
    assert_eq!(questions(), read, "somebody had to wait for faces that should have been read");
}
