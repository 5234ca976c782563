//! Flags and saved queries: kept for everybody, and gone when somebody says so.

use axum::http::Method;
use serde_json::{Value, json};

use crate::bench::{Bench, json, to};

async fn put(bench: &Bench, name: &str, sql: &str) -> crate::bench::Answer {
    bench.send(json(to(Method::PUT, &format!("/api/queries/{name}")), &json!({ "sql": sql }))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flag_stands_until_it_is_taken_off_and_changes_no_label() {
    let bench = Bench::new().await;
    let faces = bench.faces(2).await;
    let said = json!({ "face_id": faces[0], "expression": "fear", "annotator": "ada" });
    bench.post("/api/labels", said).await.json();
    let sent = json!({ "face_id": faces[0], "annotator": "bob", "note": " two faces in it " });
    let flag = bench.post("/api/flags", sent.clone()).await;
    assert_eq!(flag.status, 201);
    let flag = flag.json();
    assert_eq!(flag["note"], "two faces in it");
    let listed = bench.get("/api/flags").await.json();
    let listed = &listed["flags"][0];
    for (name, value) in [("flag_id", &flag["flag_id"]), ("expression", &json!("fear")), ("origin", &json!("human"))] {
        assert_eq!(&listed[name], value, "{listed}");
    }
    assert_eq!(bench.count("select count(*) from current_labels").await, 1);
    let path = format!("/api/flags/{}", flag["flag_id"].as_str().unwrap());
    assert_eq!(bench.delete(&format!("{path}?annotator=ada")).await.status, 204);
    bench.delete(&format!("{path}?annotator=ada")).await.problem(404, "no_such_flag");
    bench.delete("/api/flags/%27%20or%20true%20--?annotator=ada").await.problem(404, "no_such_flag");
    assert_eq!(bench.get("/api/flags").await.json()["flags"], json!([]));
    let both = "select count(*) from changes where action in ('flag', 'flag_taken_off')";
    assert_eq!(bench.count(both).await, 2, "the history keeps both");
    bench
        .post("/api/flags", json!({ "face_id": "0".repeat(64), "annotator": "bob", "note": "?" }))
        .await
        .problem(404, "no_such_face");
    bench
        .post("/api/flags", json!({ "face_id": faces[0], "annotator": "bob", "note": " " }))
        .await
        .problem(422, "invalid_flag");
    bench.post("/api/flags", json!({ "face_id": faces[0], "note": "?" })).await.problem(422, "no_annotator");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_are_kept_by_name_and_the_audit_log_says_who_kept_them() {
    let bench = Bench::new().await;
    assert_eq!(put(&bench, "by%20class", "select 1").await.json()["sql"], "select 1");
    put(&bench, "by%20class", "select 2").await.json();
    put(&bench, "a", "select <script>").await.json();
    let listed = bench.get("/api/queries").await.json();
    let names: Vec<(&str, &str)> = listed["queries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|query| (query["name"].as_str().unwrap(), query["sql"].as_str().unwrap()))
        .collect();
    assert_eq!(names, [("a", "select <script>"), ("by class", "select 2")]);
    assert_eq!(bench.delete("/api/queries/a").await.status, 204);
    bench.delete("/api/queries/a").await.problem(404, "no_such_query");
    assert_eq!(bench.get("/api/queries").await.json()["queries"].as_array().unwrap().len(), 1);
    put(&bench, "b", " ").await.problem(422, "invalid_query");
    put(&bench, &"n".repeat(101), "select 1").await.problem(422, "invalid_query");
    put(&bench, "b", &"x".repeat(70_000)).await.problem(422, "invalid_query");
    let noted = "select count(*) from audit_log where action in ('query_saved', 'query_deleted') and door = 'http'";
    assert_eq!(bench.count(noted).await, 4);
}

/// A name is a value in a table and no path, whatever it looks like.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_may_be_called_like_a_path_and_leads_nowhere() {
    let bench = Bench::new().await;
    for (path, name) in [
        ("%2e%2e%2f%2e%2e%2fmarginalia.toml", "../../marginalia.toml"),
        ("..%2f..%2fetc%2fpasswd", "../../etc/passwd"),
        ("%2e%2e", ".."),
        ("%27;drop%20table%20faces;--", "';drop table faces;--"),
        ("%3Cimg%20src=x%20onerror=alert(1)%3E", "<img src=x onerror=alert(1)>"),
    ] {
        assert_eq!(put(&bench, path, "select 1").await.json()["name"], name);
        assert_eq!(bench.get("/api/queries").await.json()["queries"][0]["name"], name);
        assert_eq!(bench.delete(&format!("/api/queries/{path}")).await.status, 204);
    }
    put(&bench, "%00", "select 1").await.problem(422, "invalid_query");
    put(&bench, "..%0d%0ax:%20y", "select 1").await.problem(422, "invalid_query");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_map_has_a_place_for_each_face_and_what_was_said_of_it() {
    let bench = Bench::new().await;
    let none = bench.get("/api/map").await.json();
    assert_eq!((&none["round"], &none["face_id"]), (&Value::Null, &json!([])));
    let faces = bench.faces(3).await;
    bench
        .round(&[(&faces[0], "fear", 0.5, None), (&faces[1], "happiness", 0.9, None), (&faces[2], "fear", 0.9, None)])
        .await;
    bench.places(&[(&faces[0], 1.0, -2.0), (&faces[1], 0.25, 0.5)]).await;
    bench.post("/api/labels", json!({ "face_id": faces[0], "expression": "neutral", "annotator": "ada" })).await.json();
    let map = bench.get("/api/map?round=1").await.json();
    let place = map["face_id"].as_array().unwrap().iter().position(|id| *id == json!(faces[0])).unwrap();
    let of = |column: &str| map[column][place].clone();
    assert_eq!(map["x"].as_array().unwrap().len(), 2, "a face without a place is not on the map");
    assert_eq!(
        (of("x"), of("y"), of("predicted"), of("subset")),
        (json!(1.0), json!(-2.0), json!("fear"), json!("II"))
    );
    assert_eq!((of("label"), of("origin")), (json!("neutral"), json!("human")));
    let other = &map["origin"][1 - place];
    assert_eq!((other, &map["label"][1 - place]), (&json!("pseudo"), &json!("happiness")));
    bench.get("/api/map?round=2").await.problem(404, "no_such_round");
    bench.get("/api/map?round=x").await.problem(400, "bad_request");
}
