//! The document says what the router does: the same paths, methods and roles, and everything that it refers to is
//! there.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, header};
use marginalia_labeling_ui::api::{Limits, OPENAPI, paths};
use serde_json::{Value, json};

use crate::bench::{Bench, to};
use crate::gate::tokens;

fn document() -> Value {
    serde_json::from_str(&OPENAPI).unwrap()
}

/// Every operation: its path, its method, and what is said of it.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of_path = paths.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |said| (path, said)));
    of_path.map(|(path, (method, operation))| (path.as_str(), method.as_str(), operation)).collect()
}

/// A path with ids that read: what is asked for is the route and not the row.
fn asked(path: &str) -> String {
    path.replace("{id}", &"0".repeat(64)).replace("{round}", "1").replace("{name}", "q")
}

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
        let path = asked(path);
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = bench.begin(to(method.clone(), &path).body(Body::empty()).unwrap()).await;
            let is_described = methods.contains(method.as_str().to_lowercase().as_str());
            assert_eq!(answer.status().as_u16() == 405, !is_described, "{method} {path}: {}", answer.status());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_the_document_names_is_asked_for() {
    let bench = Bench::with(Limits::default(), tokens()).await;
    let document = document();
    for (token, beyond) in [("r", ["Role: annotator.", "Role: admin."].as_slice()), ("a", &["Role: admin."])] {
        for (path, method, operation) in operations(&document) {
            let summary = operation["summary"].as_str().unwrap();
            let request = Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(asked(path))
                .header(header::HOST, "faces.example")
                .header(header::AUTHORIZATION, format!("Bearer {token}"));
            let answer = bench.begin(request.body(Body::empty()).unwrap()).await;
            let is_beyond = beyond.iter().any(|role| summary.ends_with(role));
            assert_eq!(answer.status().as_u16() == 403, is_beyond, "{token} {method} {path}: {}", answer.status());
        }
    }
}

#[test]
fn every_part_of_a_path_is_described() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let described = parameters
            .map(|parameter| match parameter["$ref"].as_str() {
                Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
                None => parameter,
            })
            .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
            .filter_map(|parameter| parameter["name"].as_str());
        assert_eq!(described.collect::<BTreeSet<_>>(), parts.collect(), "{method} {path}");
    }
}

#[test]
fn operations_have_names_of_their_own() {
    let document = document();
    let operations = operations(&document);
    let names: BTreeSet<_> = operations.iter().map(|(_, _, operation)| operation["operationId"].as_str()).collect();
    assert_eq!(names.len(), operations.len());
}

#[test]
fn a_face_waits_in_one_of_three_lanes_whoever_tells_of_it() {
    let document = document();
    for name in ["Task", "QueuePlace"] {
        let lanes = &document["components"]["schemas"][name]["properties"]["lane"]["enum"];
        assert_eq!(*lanes, json!(["queue", "audit", "review"]), "{name}");
    }
}

#[test]
fn references_in_the_document_lead_somewhere() {
    let document = document();
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
