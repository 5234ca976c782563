//! Text of some length is compressed where the client takes that; what is compressed already is not, and streams flow.

use axum::body::Body;
use axum::http::{Method, header};
use marginalia_store::tables::faces::Face;
use serde_json::json;

use crate::bench::{Answer, Bench, face, json, to};

/// Asks as browsers do.
async fn get(bench: &Bench, path: &str) -> Answer {
    let request = to(Method::GET, path).header(header::ACCEPT_ENCODING, "gzip, deflate, br");
    bench.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_of_some_length_is_compressed_and_nothing_else() {
    let bench = Bench::new().await;
    let image = face(&[7; 5000]);
    let face_id = image.face_id.clone();
    bench.corpus.writer::<Face>().append(vec![image]).await.unwrap();
    let path = "/api/openapi.json";
    let (plain, small) = (bench.get(path).await, get(&bench, path).await);
    assert_eq!((plain.header(header::CONTENT_ENCODING), small.header(header::CONTENT_ENCODING)), ("", "gzip"));
    assert!(small.header(header::VARY).contains("accept-encoding"), "{:?}", small.headers);
    // A gzip member begins with its magic number and ends with the length of what it holds.
    let (magic, length) = (&small.body[..2], small.body.last_chunk::<4>().unwrap());
    assert_eq!((magic, u32::from_le_bytes(*length)), (&[0x1f, 0x8b][..], plain.body.len() as u32));
    assert!(small.body.len() < plain.body.len() / 3, "{} of {}", small.body.len(), plain.body.len());

    let image = format!("/api/faces/{face_id}/image");
    for (path, why) in [("/healthz", "short"), (image.as_str(), "an image")] {
        let answer = get(&bench, path).await;
        assert_eq!((answer.status.as_u16(), answer.header(header::CONTENT_ENCODING)), (200, ""), "{why}");
    }
    let events = to(Method::GET, "/api/events").header(header::ACCEPT_ENCODING, "gzip");
    let events = bench.begin(events.body(Body::empty()).unwrap()).await;
    assert_eq!((events.status().as_u16(), events.headers().get(header::CONTENT_ENCODING)), (200, None));
    let arrow = to(Method::POST, "/api/sql")
        .header(header::ACCEPT, "application/vnd.apache.arrow.stream")
        .header(header::ACCEPT_ENCODING, "gzip");
    let query = json!({ "query": "select value from generate_series(1, 5000)" });
    let rows = bench.send(json(arrow, &query)).await;
    assert_eq!((rows.status.as_u16(), rows.header(header::CONTENT_ENCODING)), (200, ""));
}
