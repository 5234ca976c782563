//! Several people on one queue: what was begun is finished first, nobody meets a face twice, none is in two people's
//! hands, and nobody learns what another said before they have judged the face themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::Method;
use marginalia_labeling_ui::api::Limits;
use marginalia_store::Options;
use serde_json::{Value, json};

use crate::bench::{Bench, json};
use crate::gate::{tokens, with_token};

const PEOPLE: [&str; 6] = ["ada", "bob", "cyd", "dan", "eve", "flo"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_face_that_was_judged_once_comes_first_for_others() {
    let bench = Bench::of_several(2).await;
    let faces = bench.faces(4).await;
    let label = |face: &str, annotator: &str| json!({ "face_id": face, "expression": "fear", "annotator": annotator });
    bench.post("/api/labels", label(&faces[2], "ada")).await.json();
    let expected = [&faces[2], &faces[0], &faces[1], &faces[3]];
    assert_eq!(bench.queue().await.iter().collect::<Vec<_>>(), expected);
    let first = async |annotator: &str| {
        let served = bench.get(&format!("/api/queue?annotator={annotator}&limit=1")).await.json();
        assert_eq!(served["waiting"], 4);
        served["tasks"][0].clone()
    };
    let hers = first("ada").await;
    assert_eq!(hers["face_id"], json!(faces[0]), "nobody meets a face twice");
    let his = first("bob").await;
    assert_eq!((&his["face_id"], &his["reason"]), (&json!(faces[2]), &json!("judged by 1 of 2")));
    bench.post("/api/labels", label(&faces[2], "bob")).await.json();
    assert_eq!(bench.queue().await.iter().collect::<Vec<_>>(), [&faces[0], &faces[1], &faces[3]]);
    // Two that disagree have said what was asked of them; the tie waits for a third behind the others.
    bench.post("/api/labels", label(&faces[0], "ada")).await.json();
    let other = json!({ "face_id": faces[0], "expression": "happiness", "annotator": "bob" });
    bench.post("/api/labels", other).await.json();
    assert_eq!(bench.queue().await.len(), 3);
}

/// What a story has of a face's labels: whether something is kept back, whose labels it tells, the class in the corpus.
fn told(story: &Value) -> (bool, Vec<&str>, Option<&str>) {
    let labels = story["labels"].as_array().unwrap().iter().map(|label| label["annotator"].as_str().unwrap());
    (story["kept_back"].as_bool().unwrap(), labels.collect(), story["corpus"]["expression"].as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_said_is_kept_back_until_one_has_judged_the_face() {
    let bench = Bench::of_several(3).await;
    let face = &bench.faces(2).await[0];
    let judge = async |annotator: &str| {
        let label = json!({ "face_id": face, "expression": "fear", "annotator": annotator });
        bench.post("/api/labels", label).await.json()["labels"][0]["label_id"].as_str().unwrap().to_owned()
    };
    let story = async |asker: &str| bench.get(&format!("/api/faces/{face}{asker}")).await.json();
    judge("ada").await;
    let kept_back = story("?annotator=bob").await;
    assert_eq!(told(&kept_back), (true, vec![], None));
    assert_eq!(kept_back["verdict"], "in the queue at 1 (queue): judged by 1 of 3");
    let text = kept_back.to_string();
    assert!(!text.contains("fear") && !text.contains("\"ada\""), "{text}");
    for all in ["?annotator=ada", "?annotator=", ""] {
        assert_eq!(told(&story(all).await), (false, vec!["ada"], Some("fear")), "{all}");
    }
    let his = judge("bob").await;
    assert_eq!(told(&story("?annotator=bob").await), (false, vec!["ada", "bob"], Some("fear")));
    bench.delete(&format!("/api/labels/{his}?annotator=bob")).await.json();
    assert_eq!(told(&story("?annotator=bob").await), (true, vec!["bob"], None), "as before he said anything");
    // Once the face has left the queue nobody is asked for an answer of their own any more.
    judge("bob").await;
    assert_eq!(told(&story("?annotator=eve").await), (true, vec![], None));
    judge("cyd").await;
    assert_eq!(told(&story("?annotator=eve").await), (false, vec!["ada", "bob", "bob", "cyd"], Some("fear")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_says_in_whose_eyes_a_face_is_looked_at() {
    let options = Options { judgements_per_face: 2, ..Options::default() };
    let bench = Bench::made(options, Limits::default(), tokens()).await;
    let face = &bench.faces(1).await[0];
    let label = json!({ "face_id": face, "expression": "fear" });
    bench.send(json(with_token(Method::POST, "/api/labels", "a"), &label)).await.json();
    let story = async |token: &str, asker: &str| {
        let path = format!("/api/faces/{face}{asker}");
        bench.send(with_token(Method::GET, &path, token).body(Body::empty()).unwrap()).await
    };
    for (token, asker) in [("b", ""), ("b", "?annotator=bob"), ("root", "?annotator=root")] {
        assert_eq!(told(&story(token, asker).await.json()), (true, vec![], None), "{token} {asker}");
    }
    story("b", "?annotator=ada").await.problem(403, "other_annotator");
    // Readers judge nothing, and an admin may look at everything.
    for (token, asker) in [("a", ""), ("r", ""), ("r", "?annotator=reader"), ("root", "")] {
        assert_eq!(told(&story(token, asker).await.json()), (false, vec!["ada"], Some("fear")), "{token} {asker}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_face_is_judged_by_as_many_people_as_are_wanted() {
    let bench = Arc::new(Bench::of_several(3).await);
    let faces = bench.faces(20).await;
    let held: Arc<Mutex<HashMap<String, &str>>> = Arc::default();
    let people = PEOPLE.map(|annotator| {
        let (bench, held) = (bench.clone(), held.clone());
        tokio::spawn(async move { judge_all(&bench, &held, annotator).await })
    });
    for person in people {
        person.await.unwrap();
    }
    assert_eq!(bench.count("select count(*) from labels").await, 3 * faces.len() as u64);
    let exact =
        "select count(*) from (select face_id from labels group by face_id having count(distinct annotator) = 3)";
    assert_eq!(bench.count(exact).await, faces.len() as u64);
    assert_eq!(bench.queue().await.len(), 0);
}

/// Takes faces and says the same of all of them until there is nothing left to say.
async fn judge_all(bench: &Bench, held: &Mutex<HashMap<String, &'static str>>, annotator: &'static str) {
    loop {
        let served = bench.get(&format!("/api/queue?annotator={annotator}&limit=1")).await.json();
        let Some(Value::String(face_id)) = served["tasks"].get(0).map(|task| task["face_id"].clone()) else {
            match served["nothing"]["reason"].as_str() {
                Some("with_others") => tokio::time::sleep(Duration::from_millis(20)).await,
                _ => return,
            }
            continue;
        };
        let before = held.lock().unwrap().insert(face_id.clone(), annotator);
        assert!(before.is_none_or(|before| before == annotator), "{face_id} is with {before:?} and {annotator}");
        held.lock().unwrap().remove(&face_id);
        let label = json!({ "face_id": face_id, "expression": "fear", "annotator": annotator });
        bench.post("/api/labels", label).await.json();
    }
}
