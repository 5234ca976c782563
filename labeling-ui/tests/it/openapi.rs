//! The document says what the router does: the same paths, the same methods, and every problem by its name.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Method;
use marginalia_labeling_ui::api::paths;
use serde_json::Value;

use crate::bench::{Bench, to};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_names_what_the_router_answers() {
    let bench = Bench::new().await;
    let document = bench.get("/api/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let described = document["paths"].as_object().unwrap();
    let names: BTreeSet<&str> = described.keys().map(String::as_str).collect();
    assert_eq!(names, paths().into_iter().collect());
    for (path, item) in described {
        let methods: BTreeSet<&str> = item.as_object().unwrap().keys().map(String::as_str).collect();
        // Ids that read: what is asked here is the route and not the row.
        let path = path.replace("{id}", &"0".repeat(64)).replace("{round}", "1").replace("{name}", "q");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = bench.begin(to(method.clone(), &path).body(Body::empty()).unwrap()).await;
            let is_described = methods.contains(method.as_str().to_lowercase().as_str());
            assert_eq!(answer.status().as_u16() == 405, !is_described, "{method} {path}: {}", answer.status());
        }
    }
}

#[test]
fn references_in_the_document_lead_somewhere() {
    let document: Value = serde_json::from_str(marginalia_labeling_ui::api::OPENAPI).unwrap();
    let mut seen = 0;
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    seen += 1;
                    assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(seen > 10);
}
