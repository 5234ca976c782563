//! Whatever goes wrong has one form, an id, and costs nobody else anything.

use axum::body::Body;
use axum::http::{Method, header};
use serde_json::json;

use crate::bench::{Bench, to};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_framework_refuses_has_the_form_of_all_problems() {
    let bench = Bench::new().await;
    for path in ["/api", "/api/nothing", "/nothing.js", "/api/faces/", "/api/../etc/passwd"] {
        bench.get(path).await.problem(404, "not_found");
    }
    let wrong = bench.delete("/api/status").await;
    assert_eq!(wrong.header(header::ALLOW), "GET,HEAD");
    wrong.problem(405, "method_not_allowed");
    bench.get("/api/rounds/first").await.problem(400, "bad_request");
    bench.get("/api/rounds/-1").await.problem(400, "bad_request");
    bench.get("/api/rounds/1").await.problem(404, "no_such_round");
    let huge = to(Method::POST, "/api/labels").header(header::CONTENT_TYPE, "application/json");
    bench.send(huge.body(Body::from(vec![b' '; (1 << 20) + 1])).unwrap()).await.problem(413, "too_large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_has_an_id_and_safe_headers() {
    let bench = Bench::new().await;
    let mut ids = Vec::new();
    for path in ["/healthz", "/readyz", "/api/status", "/api/nothing", "/api/openapi.json"] {
        let answer = bench.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(answer.header(header::CONTENT_SECURITY_POLICY).contains("frame-ancestors 'none'"), "{path}");
        assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "{path}");
        ids.push(answer.header("x-request-id").to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    let with_id = |id: &str| to(Method::GET, "/api/nothing").header("x-request-id", id).body(Body::empty()).unwrap();
    assert_eq!(bench.send(with_id("mine-1")).await.problem(404, "not_found")["request_id"], "mine-1");
    for foreign in ["<b>", &"x".repeat(65), ""] {
        assert_ne!(bench.send(with_id(foreign)).await.header("x-request-id"), foreign);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_costs_its_own_request() {
    let bench = Bench::new().await;
    let upload = |image: &'static [u8]| {
        let request = to(Method::POST, "/api/faces").header(header::CONTENT_TYPE, "image/png");
        request.body(Body::from(image)).unwrap()
    };
    bench.send(upload(b"\x89PNG panic")).await.problem(500, "internal");
    assert_eq!(bench.send(upload(b"\x89PNG 1")).await.status, 201);
    // What failed is for the log; the client is told where to look.
    bench.door.open.close();
    let problem = bench.send(upload(b"\x89PNG 2")).await.problem(500, "internal");
    assert!(!problem.to_string().contains("a closed door"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_and_rounds_are_what_the_corpus_holds() {
    let bench = Bench::new().await;
    let faces = bench.faces(3).await;
    let none = bench.get("/api/rounds").await.json();
    let nothing = json!({
        "current": null, "unfinished": null, "running": false, "trains": false, "rounds": [], "next": null
    });
    assert_eq!(none, nothing);
    bench.round(&[(&faces[0], "fear", 0.9, None), (&faces[1], "fear", 0.5, Some("queue"))]).await;
    let status = bench.get("/api/status").await.json();
    assert_eq!((&status["faces"], &status["queue"], &status["current_round"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!(
        status["classes"][2],
        json!({
            "expression": "fear", "human": 0, "imported": 0, "simulated": 0, "pseudo": 1, "total": 1
        })
    );
    let rounds = bench.get("/api/rounds").await.json();
    assert_eq!((&rounds["current"], &rounds["rounds"][0]["method"]), (&json!(1), &json!("ada-cm")));
    assert_eq!(rounds["rounds"][0]["finished_at"], "1970-01-01T00:00:01Z");
    let one = bench.get("/api/rounds/1").await.json();
    assert_eq!((&one["round"], &one["margins"]), (&rounds["rounds"][0], &json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_about_to_end_is_not_ready_but_alive() {
    let bench = Bench::new().await;
    assert_eq!(bench.get("/readyz").await.status, 200);
    bench.cancel.cancel();
    bench.get("/readyz").await.problem(503, "ending");
    assert_eq!(bench.get("/healthz").await.status, 200);
}
