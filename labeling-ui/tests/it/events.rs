//! Events: what happens is told once, in order, and whoever missed some is told so.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, BodyDataStream};
use axum::http::request::Builder;
use axum::http::{Method, Request, header};
use futures::StreamExt;
use marginalia_labeling_ui::api::Limits;
use marginalia_labeling_ui::{Access, Gate, Identity, Result, Role, watch};
use marginalia_store::tables::faces::Face;
use marginalia_store::{Corpus, Options};
use serde_json::{Value, json};

use crate::bench::{Bench, face, to};

/// A patient reader of one stream.
struct Listener {
    body: BodyDataStream,
    text: String,
}

#[derive(Debug, PartialEq)]
struct Heard {
    name: String,
    id: String,
    data: Value,
}

impl Listener {
    async fn open(bench: &Bench, path: &str, last: Option<&str>) -> Self {
        let mut request = to(Method::GET, path);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        Self::of(bench, request.body(Body::empty()).unwrap()).await
    }

    async fn of(bench: &Bench, request: Request<Body>) -> Self {
        let answer = bench.begin(request).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(answer.headers()["x-accel-buffering"], "no");
        Self { body: answer.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event that is no sign of life, or none at the end of the stream.
    async fn next_told(&mut self) -> Option<Heard> {
        loop {
            let heard = self.next().await;
            if heard.as_ref().is_none_or(|heard| !heard.name.is_empty()) {
                return heard;
            }
        }
    }

    /// The next event, or none at the end of the stream.
    async fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let line = event.lines().find_map(|line| line.strip_prefix(name));
                    line.map_or(String::new(), |value| value.trim_start_matches(':').trim().to_owned())
                };
                let heard = Heard {
                    name: field("event"),
                    id: field("id"),
                    data: serde_json::from_str(&field("data")).unwrap_or_default(),
                };
                self.text = rest.to_owned();
                return Some(heard);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(60), self.body.next()).await.expect("an event")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_is_told_to_those_who_listen_and_to_those_who_come_back() {
    let bench = Bench::new().await;
    let faces = bench.faces(2).await;
    let mut listener = Listener::open(&bench, "/api/events", None).await;
    let ready = listener.next().await.unwrap();
    assert_eq!(ready.name, "ready");
    let mut ids = Vec::new();
    for face_id in &faces {
        let label = json!({ "face_id": face_id, "expression": "fear", "annotator": "ada" });
        bench.post("/api/labels", label).await.json();
        let heard = listener.next().await.unwrap();
        assert_eq!((heard.name.as_str(), &heard.data["labels"][0]["face_id"]), ("labelled", &json!(face_id)));
        assert_eq!(heard.data["labels"][0]["annotator"], Value::Null, "a name is not for everybody who listens");
        ids.push(heard.id);
    }
    // Behind the greeting both were missed, behind the first the second; by header or by parameter.
    let mut back = Listener::open(&bench, "/api/events", Some(&ready.id)).await;
    assert_eq!([back.next().await.unwrap().id, back.next().await.unwrap().id], [ids[0].clone(), ids[1].clone()]);
    let mut back = Listener::open(&bench, &format!("/api/events?last_event_id={}", ids[0]), None).await;
    assert_eq!(back.next().await.unwrap().id, ids[1]);
    let mut back = Listener::open(&bench, "/api/events", Some(&ids[1])).await;
    assert_eq!(back.next().await.unwrap(), Heard { name: "ready".into(), id: ids[1].clone(), data: json!({}) });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_missed_more_than_is_kept_is_told_to_look_anew() {
    let bench = Bench::new().await;
    let mut slow = Listener::open(&bench, "/api/events", None).await;
    let ready = slow.next().await.unwrap();
    for n in 0..2000 {
        bench.events.tell("test", &json!({ "n": n }));
    }
    assert_eq!(slow.next().await.unwrap().name, "resync");
    // And goes on with what is newest.
    let next = slow.next().await.unwrap();
    assert!(next.name == "test" && next.data["n"].as_u64().unwrap() > 1000, "{next:?}");
    let other_process = format!("0192f0c1000070008000000000000000-{}", 1);
    for last in [ready.id.as_str(), &other_process, "nonsense", "-", "a-b"] {
        let mut back = Listener::open(&bench, "/api/events", Some(last)).await;
        let first = back.next().await.unwrap();
        assert_eq!(first.name, "resync", "{last}");
        // Whoever looks anew now misses nothing from here on.
        let mut again = Listener::open(&bench, "/api/events", Some(&first.id)).await;
        assert_eq!(again.next().await.unwrap().name, "ready");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_end_when_the_server_does() {
    let bench = Bench::new().await;
    let mut listener = Listener::open(&bench, "/api/events", None).await;
    assert_eq!(listener.next().await.unwrap().name, "ready");
    bench.cancel.cancel();
    assert_eq!(listener.next().await, None);
}

/// Tokens that are good, each of somebody of that name.
struct Good(Mutex<BTreeSet<&'static str>>);

#[async_trait]
impl Access for Good {
    async fn bearer(&self, token: &str) -> Result<Option<Identity>> {
        let is_good = self.0.lock().unwrap().contains(token);
        Ok(is_good.then(|| Identity { name: token.to_owned(), role: Role::Annotator }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_of_a_token_that_is_revoked_ends_and_others_go_on() {
    let good = Arc::new(Good(Mutex::new(BTreeSet::from(["ada", "bob"]))));
    let limits = Limits { keep_alive: Duration::from_millis(20), ..Limits::default() };
    let bench = Bench::with(limits, Gate::Tokens(good.clone())).await;
    let listen = async |request: Builder| {
        let mut listener = Listener::of(&bench, request.body(Body::empty()).unwrap()).await;
        assert_eq!(listener.next().await.unwrap().name, "ready");
        listener
    };
    let events = || to(Method::GET, "/api/events");
    let mut by_header = listen(events().header(header::AUTHORIZATION, "Bearer ada")).await;
    let mut by_cookie = listen(events().header(header::COOKIE, "marginalia=ada")).await;
    let mut other = listen(events().header(header::AUTHORIZATION, "Bearer bob")).await;
    bench.events.tell("test", &json!({}));
    for listener in [&mut by_header, &mut by_cookie, &mut other] {
        assert_eq!(listener.next_told().await.unwrap().name, "test");
    }
    good.0.lock().unwrap().remove("ada");
    for listener in [&mut by_header, &mut by_cookie] {
        assert_eq!(listener.next_told().await, None);
    }
    bench.events.tell("secret", &json!({}));
    assert_eq!(other.next_told().await.unwrap().name, "secret");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_commits_is_told_too() {
    let bench = Bench::new().await;
    let watching = tokio::spawn(watch(bench.corpus.clone(), bench.events.clone(), bench.cancel.clone()));
    let mut listener = Listener::open(&bench, "/api/events", None).await;
    assert_eq!(listener.next().await.unwrap().name, "ready");
    let other = Corpus::open(&bench.folder.path().join("corpus"), Options::default()).await.unwrap();
    // Until the first look has happened there is nothing to compare with.
    let mut n = 0_u32;
    let told = loop {
        n += 1;
        other.writer::<Face>().append(vec![face(&n.to_le_bytes())]).await.unwrap();
        tokio::select! {
            told = listener.next() => break told.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    };
    assert_eq!((told.name.as_str(), &told.data["tables"]), ("changed", &json!(["faces"])));
    assert!(told.data["versions"]["faces"].as_u64().unwrap() > 1, "{told:?}");
    bench.cancel.cancel();
    watching.await.unwrap();
}
