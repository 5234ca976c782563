//! `GET /metrics`: what happened and how things stand, as a monitoring system reads it.

use axum::body::Body;
use axum::http::{Method, header};
use serde_json::json;

use crate::bench::{Bench, to};

/// The value of one line.
fn value(text: &str, line: &str) -> f64 {
    let found = text.lines().find_map(|other| other.strip_prefix(line)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {line} in {text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_is_counted_and_the_state_is_looked_up() {
    let bench = Bench::new().await;
    let ids = bench.faces(3).await;
    for (image, status) in [(&b"\x89PNG 1"[..], 201), (b"\x89PNG 1", 200), (b"no", 422)] {
        let upload = to(Method::POST, "/api/faces").header(header::CONTENT_TYPE, "image/png");
        assert_eq!(bench.send(upload.body(Body::from(image)).unwrap()).await.status, status);
    }
    let labels = json!([
        { "face_id": ids[0], "expression": "fear", "annotator": "ada" },
        { "face_id": ids[1], "verdict": "not_a_face", "annotator": "ada", "lane": "grid" },
    ]);
    bench.post("/api/labels", labels).await.json();
    bench.get("/api/faces/x/image").await.problem(404, "no_such_face");
    let answer = bench.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header(header::CONTENT_TYPE).starts_with("application/openmetrics-text"));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    for outcome in ["new", "repeat", "rejected"] {
        let line = format!("marginalia_inputs_total{{door=\"http\",outcome=\"{outcome}\"}}");
        assert_eq!(value(&text, &line), 1.0);
    }
    assert_eq!(value(&text, "marginalia_labels_total{lane=\"queue\"}"), 1.0);
    assert_eq!(value(&text, "marginalia_labels_total{lane=\"grid\"}"), 1.0);
    assert_eq!(value(&text, "marginalia_label_seconds_count"), 1.0);
    let route = "method=\"GET\",route=\"/api/faces/{id}/image\",status=\"404\"";
    assert_eq!(value(&text, &format!("marginalia_http_request_seconds_count{{{route}}}")), 1.0);
    assert_eq!(value(&text, "marginalia_faces"), 4.0);
    assert_eq!(value(&text, "marginalia_queue_faces"), 2.0);
    assert_eq!(value(&text, "marginalia_current_round"), 0.0);
    assert!(value(&text, "marginalia_table_version{table=\"labels\"}") >= 2.0);
    assert!(value(&text, "marginalia_resident_memory_bytes") > 1e6);
}
