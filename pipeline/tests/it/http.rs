//! The API with the pipeline's own admission: what comes in over HTTP is judged as what comes in by folder.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use futures::StreamExt;
use marginalia::console::Opened;
use marginalia::events::{ClassMargin, Event, IngestCounts, LossTerm};
use marginalia::http::{Forwarder, HttpContext, HttpServer, parts};
use marginalia::meter::Meter;
use marginalia::report::EventReader;
use marginalia_datasets::{Classes, SyntheticFaces};
use marginalia_labeling_ui::api::router;
use marginalia_labeling_ui::{Events, Gate, Metrics};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::binary::{Bench, write_faces};

async fn context(bench: &Bench) -> HttpContext {
    let opened = Opened::at(&bench.corpus()).await.unwrap();
    HttpContext { opened, events: Events::default(), metrics: Metrics::default(), arrivals: None, rounds: None }
}

async fn api(bench: &Bench) -> Router {
    router(parts(&context(bench).await, Gate::Loopback, &CancellationToken::new()))
}

fn png(n: u64) -> Vec<u8> {
    SyntheticFaces::new(7, 128, &Classes::standard()).face(n).png()
}

async fn send(api: &Router, request: Request<Body>) -> (u16, Vec<u8>) {
    let answer = api.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    (status, to_bytes(answer.into_body(), usize::MAX).await.unwrap().to_vec())
}

async fn upload(api: &Router, content_type: &str, body: impl Into<Body>) -> (u16, Value) {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/faces?stream=phone&name=a.png")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, content_type)
        .body(body.into())
        .unwrap();
    let (status, body) = send(api, request).await;
    (status, serde_json::from_slice(&body).unwrap())
}

async fn get(api: &Router, path: &str) -> (u16, Vec<u8>) {
    let request = Request::builder().uri(path).header(header::HOST, "localhost").body(Body::empty()).unwrap();
    send(api, request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_are_faces_sightings_and_rejects_as_files_are() {
    let bench = Bench::new();
    let api = api(&bench).await;
    let (status, first) = upload(&api, "image/png", png(1)).await;
    assert_eq!((status, &first["new"]), (201, &json!(true)), "{first}");
    let (status, again) = upload(&api, "image/jpeg", png(1)).await;
    assert_eq!((status, &again["face_id"], &again["new"]), (200, &first["face_id"], &json!(false)));
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>";
    let html = "<!doctype html><script>alert(1)</script>";
    let cut = png(2);
    let refused: [(&[u8], &str); 5] = [
        (svg.as_bytes(), "not_an_image"),
        (html.as_bytes(), "not_an_image"),
        (&cut[..cut.len() / 2], "truncated"),
        (b"GIF89a\x01\x00\x01\x00", "unsupported_format"),
        (b"", "empty"),
    ];
    for (image, reason) in refused {
        let (status, problem) = upload(&api, "image/png", image.to_vec()).await;
        assert_eq!(
            (status, &problem["code"], &problem["reason"]),
            (422, &json!("refused"), &json!(reason)),
            "{problem}"
        );
    }
    assert_eq!(upload(&api, "image/svg+xml", svg).await.0, 415);
    let faces = bench.sql("select face_id, stream, format from faces");
    assert_eq!(faces, [json!({ "face_id": first["face_id"], "stream": "phone", "format": "png" })]);
    assert_eq!(bench.count("select count(*) from sightings where source = 'upload:a.png' and dataset = 'phone'"), 7);
    assert_eq!(bench.count("select count(*) from rejects where source = 'upload:a.png'"), 5);
    // The folder's watcher knows the face that came by upload.
    let inbox = bench.path("inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    std::fs::write(inbox.join("same.png"), png(1)).unwrap();
    let counts = bench.json(&["ingest", inbox.to_str().unwrap()]);
    assert_eq!((&counts["new"], &counts["repeats"]), (&json!(0), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_images_keep_their_order_whatever_becomes_of_each() {
    let bench = Bench::new();
    let api = api(&bench).await;
    let files = [png(1), b"nothing".to_vec(), png(2), png(1), png(3)[..100].to_vec()];
    let mut body = Vec::new();
    for (n, image) in files.iter().enumerate() {
        let head = format!("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{n}.png\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(image);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--x--\r\n");
    let (status, answer) = upload(&api, "multipart/form-data; boundary=x", body).await;
    assert_eq!(status, 201, "{answer}");
    let images = answer["images"].as_array().unwrap();
    let outcome = |n: usize| (images[n]["new"].as_bool(), images[n]["reason"].as_str());
    assert_eq!(outcome(0), (Some(true), None));
    assert_eq!(outcome(1), (None, Some("not_an_image")));
    assert_eq!(outcome(2), (Some(true), None));
    assert_eq!(outcome(3), (Some(false), None));
    assert_eq!(outcome(4), (None, Some("truncated")));
    assert_eq!((&images[3]["face_id"], &images[3]["source"]), (&images[0]["face_id"], &json!("upload:3.png")));
    assert_eq!(bench.count("select count(*) from faces"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_face_does_not_come_back_by_upload() {
    let bench = Bench::new();
    let face = upload(&api(&bench).await, "image/png", png(1)).await.1["face_id"].clone();
    bench.ok(&["forget", face.as_str().unwrap()]);
    let (status, problem) = upload(&api(&bench).await, "image/png", png(1)).await;
    assert_eq!((status, &problem["reason"]), (422, &json!("forgotten")), "{problem}");
    assert_eq!(bench.count("select count(*) from faces"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_faces_are_refused_and_labels_still_fit() {
    let bench = Bench::new();
    let face = upload(&api(&bench).await, "image/png", png(1)).await.1["face_id"].clone();
    let config = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("reserve_mb = 64", "reserve_mb = 1048576")).unwrap();
    let api = api(&bench).await;
    let (status, problem) = upload(&api, "image/png", png(2)).await;
    assert_eq!((status, &problem["code"]), (507, &json!("no_room")), "{problem}");
    let label = json!({ "face_id": face, "expression": "fear", "annotator": "ada" });
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/labels")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(label.to_string()))
        .unwrap();
    assert_eq!(send(&api, request).await.0, 201);
    let (_, status) = get(&api, "/api/status").await;
    assert!(String::from_utf8(status).unwrap().contains("no room for new faces"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_image_shows_the_same_face() {
    let bench = Bench::new();
    let api = api(&bench).await;
    let face = upload(&api, "image/png", png(1)).await.1["face_id"].clone();
    let path = format!("/api/faces/{}/image", face.as_str().unwrap());
    assert_eq!(get(&api, &path).await, (200, png(1)));
    let (status, small) = get(&api, &format!("{path}?w=48")).await;
    let small = marginalia_datasets::decode(&small, &marginalia_datasets::Limits::default()).unwrap();
    assert_eq!((status, small.dimensions()), (200, (48, 48)));
    assert_eq!(get(&api, &format!("{path}?w=192")).await, (200, png(1)), "never larger than it is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_hands_the_queue_out_and_ends_when_it_is_told() {
    let bench = Bench::new();
    write_faces(&bench.path("inbox"), 2, 0..3);
    bench.ok(&["ingest", bench.path("inbox").to_str().unwrap()]);
    let context = context(&bench).await;
    let cancel = CancellationToken::new();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = HttpServer::bind(&context.opened, any, None).await.unwrap();
    let address = server.address;
    let serving = tokio::spawn({
        let (context, cancel) = (context.clone(), cancel.clone());
        async move { server.serve(&context, &cancel).await }
    });
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /api/queue?annotator=ada HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"waiting\":3"), "{answer}");
    // Another one would hand the same faces out.
    let second = HttpServer::bind(&context.opened, any, None).await.err().unwrap();
    assert!(second.to_string().contains("the queue is held by another process"), "{second}");
    let open = HttpServer::bind(&context.opened, SocketAddr::from(([0, 0, 0, 0], 0)), None).await.err().unwrap();
    assert_eq!(marginalia::error::exit_code(&open), 2, "{open}");
    cancel.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_token_is_good_from_the_moment_the_old_one_is_not() {
    let bench = Bench::new();
    let made = bench.json(&["token", "create", "ada", "--role", "annotator"]);
    let context = context(&bench).await;
    let gate = Gate::Tokens(Arc::new(context.opened.corpus.clone()));
    let api = router(parts(&context, gate, &CancellationToken::new()));
    let ask = async |token: &Value| {
        let bearer = format!("Bearer {}", token["token"].as_str().unwrap());
        let request = Request::builder().uri("/api/session").header(header::HOST, "faces.example");
        send(&api, request.header(header::AUTHORIZATION, bearer).body(Body::empty()).unwrap()).await.0
    };
    assert_eq!(ask(&made).await, 200);
    let rotated = bench.json(&["token", "rotate", "ada"]);
    assert_eq!((&rotated["name"], &rotated["role"]), (&json!("ada"), &json!("annotator")));
    assert_eq!((ask(&made).await, ask(&rotated).await), (401, 200));
    let noted = "select count(*) from changes where action = 'token_rotated' and target = 'ada'";
    assert_eq!(bench.count(noted), 1);
    assert_eq!(bench.run(&["token", "rotate", "eve"]).status.code(), Some(2));
}

/// The end of an epoch of a hundred steps.
fn epoch_finished() -> Event {
    let margin = ClassMargin { expression: "fear".to_owned(), margin: 0.5, mean_confidence: Some(0.6), right: 7 };
    Event::EpochFinished {
        round: 3,
        epoch: 1,
        epochs: 2,
        t: 5,
        losses: vec![LossTerm { name: "supervised".to_owned(), value: 1.25 }],
        subset_one_share: Some(0.5),
        validation_accuracy: None,
        validation_macro_f1: None,
        margins: vec![margin],
        waiting_share: 0.0,
        seconds: 50.0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rounds_of_this_process_are_told_to_those_who_listen() {
    let bench = Bench::new();
    let context = context(&bench).await;
    let api = router(parts(&context, Gate::Loopback, &CancellationToken::new()));
    let request = Request::builder().uri("/api/events").header(header::HOST, "localhost").body(Body::empty()).unwrap();
    let mut stream = api.oneshot(request).await.unwrap().into_body().into_data_stream();
    let mut forwarder = Forwarder(context.events.clone());
    forwarder.read(&Event::ScanFinished { files: 1 });
    let step = Event::EpochStep {
        round: 3,
        epoch: 1,
        epochs: 2,
        step: 40,
        steps: 100,
        loss: 1.5,
        losses: vec![LossTerm { name: "supervised".to_owned(), value: 0.75 }],
        subset_one_share: Some(0.25),
    };
    forwarder.read(&step);
    forwarder.read(&epoch_finished());
    forwarder.read(&Event::PoolScored { round: 3, scored: 10, faces: 20, images_per_second: 5.0 });
    forwarder.read(&Event::RoundAborted { round: 3, reason: "a test".to_owned() });
    let mut heard = String::new();
    while !heard.contains("a test") {
        let chunk = tokio::time::timeout(Duration::from_secs(60), stream.next()).await.expect("an event").unwrap();
        heard.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    let field = |event: &str, name: &str| {
        let line = event.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    let told: Vec<(String, Value)> = heard
        .split("\n\n")
        .map(|event| (field(event, "event:"), serde_json::from_str(&field(event, "data:")).unwrap_or_default()))
        .filter(|(name, _)| name.starts_with("round"))
        .collect();
    let names: Vec<(&str, &str)> =
        told.iter().map(|(name, data)| (name.as_str(), data["event"].as_str().unwrap())).collect();
    let expected = [
        ("round_progress", "epoch_step"),
        ("round", "epoch_finished"),
        ("round_progress", "pool_scored"),
        ("round", "round_aborted"),
    ];
    assert_eq!(names, expected, "{heard}");
    let (step, epoch) = (&told[0].1, &told[1].1);
    assert_eq!((&step["step"], &step["loss"], &step["subset_one_share"]), (&json!(40), &json!(1.5), &json!(0.25)));
    assert_eq!(step["losses"], json!([{ "name": "supervised", "value": 0.75 }]));
    assert_eq!((&epoch["losses"][0]["value"], &epoch["margins"][0]["expression"]), (&json!(1.25), &json!("fear")));
    assert_eq!((&epoch["margins"][0]["margin"], &epoch["margins"][0]["right"]), (&json!(0.5), &json!(7)));
    assert!(!heard.contains("scan_finished"), "{heard}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_folders_bring_and_rounds_do_is_counted_for_prometheus() {
    let bench = Bench::new();
    let context = context(&bench).await;
    let api = router(parts(&context, Gate::Loopback, &CancellationToken::new()));
    let mut meter = Meter::new(context.metrics.clone());
    let counts = |new, repeats, rejected| IngestCounts { seen: 20, new, repeats, rejected, skipped: 0 };
    let started = Event::IngestStarted { paths: Vec::new(), stream: "door".to_owned(), watching: true };
    let planned = Event::RoundPlanned {
        round: 3,
        labelled: 7,
        unlabelled: 20,
        pool: 20,
        validation: 0,
        epochs: 2,
        steps_per_epoch: 100,
    };
    let committed = Event::RoundCommitted {
        round: 3,
        scored: 20,
        subset_one: 5,
        subset_two: 15,
        validation_accuracy: None,
        validation_macro_f1: None,
        seconds: 120.5,
    };
    for event in [
        started.clone(),
        Event::IngestProgress { counts: counts(9, 1, 0), images_per_second: 5.0 },
        Event::IngestFinished { counts: counts(12, 4, 2), seconds: 3.0 },
        // Another one begins at nothing, and what was counted stays.
        started,
        Event::IngestFinished { counts: counts(1, 0, 0), seconds: 1.0 },
        planned,
        epoch_finished(),
        committed,
        Event::RoundRejected { round: 4, reason: "a test".to_owned(), seconds: 60.0 },
        Event::RoundAborted { round: 5, reason: "a test".to_owned() },
        Event::Warning { message: "a test".to_owned() },
    ] {
        meter.read(&event);
    }
    let (status, text) = get(&api, "/metrics").await;
    let text = String::from_utf8(text).unwrap();
    assert_eq!(status, 200, "{text}");
    for (line, expected) in [
        ("inputs_total{door=\"folder\",outcome=\"new\"}", 13.0),
        ("inputs_total{door=\"folder\",outcome=\"repeat\"}", 4.0),
        ("inputs_total{door=\"folder\",outcome=\"rejected\"}", 2.0),
        ("step_seconds", 0.5),
        ("rounds_total{outcome=\"accepted\"}", 1.0),
        ("rounds_total{outcome=\"rejected\"}", 1.0),
        ("rounds_total{outcome=\"aborted\"}", 1.0),
        ("round_seconds", 60.0),
        ("warnings_total", 1.0),
    ] {
        let value =
            text.lines().find_map(|said| said.strip_prefix("marginalia_")?.strip_prefix(line)?.strip_prefix(' '));
        assert_eq!(value.and_then(|value| value.parse().ok()), Some(expected), "{line} in {text}");
    }
}

/// Whoever opens ten thousand connections and says nothing on them gets in nobody's way for long: labels come through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_silent_connections_keep_nobody_out() {
    let bench = Bench::new();
    write_faces(&bench.path("inbox"), 2, 0..3);
    bench.ok(&["ingest", bench.path("inbox").to_str().unwrap()]);
    let faces = bench.sql("select face_id from faces");
    let files = marginalia::open_files::raise();
    let mut server = bench.start(&["serve", "--addr", "127.0.0.1:0", "--json"]);
    let mut served = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut served).unwrap();
    let served: Value = serde_json::from_str(&served).unwrap();
    let address: SocketAddr = served["http"].as_str().unwrap().parse().unwrap();
    // Where this process may have fewer files open, so may the server.
    let mut trying = JoinSet::new();
    for _ in 0..files.saturating_sub(200).min(10_000) {
        trying.spawn(timeout(Duration::from_secs(1), TcpStream::connect(address)));
    }
    let silent = trying.join_all().await;
    let ask = async |method: &str, path: &str, body: String| {
        let mut connection = TcpStream::connect(address).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    };
    for face in &faces {
        let answer = ask("GET", "/healthz", String::new()).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let label = json!({ "face_id": face["face_id"], "expression": "fear", "annotator": "ada" });
        let answer = ask("POST", "/api/labels", label.to_string()).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
    // As many as the server takes at a time, of the files that it may have open.
    let open = silent.iter().flatten().flatten().count();
    assert!(open >= files.min(10_000) / 4, "{open} of {files} were open");
    assert_eq!(bench.count("select count(*) from labels"), 3);
    server.kill().unwrap();
    server.wait().unwrap();
}
