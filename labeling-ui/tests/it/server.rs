//! The port: requests under way are finished, streams end, and nobody holds it up for others, at the end or before.

use std::net::SocketAddr;
use std::time::Duration;

use marginalia_labeling_ui::api::Limits;
use marginalia_labeling_ui::{Bounds, Gate, listen, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::bench::Bench;

const LONG: Duration = Duration::from_secs(600);
/// Far longer than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

async fn start(bench: &Bench, bounds: Bounds) -> (SocketAddr, JoinHandle<()>) {
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    (address, tokio::spawn(serve(listener, None, bench.router.clone(), bounds, bench.cancel.clone())))
}

async fn send(address: SocketAddr, request: &str, body: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: {address}\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(body).await.unwrap();
    connection
}

/// All that comes until the server closes the connection.
async fn read(mut connection: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that is cut off may end with a reset.
    let _ = connection.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_finished_and_streams_end() {
    let bench = Bench::new().await;
    bench.door.open.forget_permits(1000);
    let (address, serving) = start(&bench, Bounds { grace: LONG, ..Bounds::default() }).await;
    let upload = send(address, "POST /api/faces", b"\x89PNG 1").await;
    bench.door.has_begun(1).await;
    let mut stream = send(address, "GET /api/events", b"").await;
    let mut beginning = [0; 12];
    stream.read_exact(&mut beginning).await.unwrap();
    assert_eq!(&beginning, b"HTTP/1.1 200");
    bench.cancel.cancel();
    assert!(read(stream).await.contains("event: ready"));
    assert!(!serving.is_finished());
    bench.door.open.add_permits(1);
    assert!(read(upload).await.starts_with("HTTP/1.1 201"));
    serving.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    assert_eq!(bench.count("select count(*) from faces").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_the_grace_does_not_hold_the_end_up() {
    let bench = Bench::new().await;
    bench.door.open.forget_permits(1000);
    let (address, serving) = start(&bench, Bounds { grace: Duration::from_millis(50), ..Bounds::default() }).await;
    let _upload = send(address, "POST /api/faces", b"\x89PNG 1").await;
    bench.door.has_begun(1).await;
    bench.cancel.cancel();
    serving.await.unwrap();
    assert_eq!(bench.count("select count(*) from faces").await, 0, "nothing was acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_is_named() {
    let taken = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = taken.local_addr().unwrap();
    let refused = listen(address).await.unwrap_err();
    assert!(refused.to_string().contains(&address.to_string()), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_only_holds_connections_open_loses_them_and_others_are_answered() {
    let bench = Bench::new().await;
    let bounds = Bounds { connections: 4, head: Duration::from_millis(200), grace: LONG };
    let (address, _serving) = start(&bench, bounds).await;
    let mut idle = Vec::new();
    for n in 0..40 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        // Some say nothing, some begin and never end.
        let begun: &[u8] = if n % 2 == 0 { b"" } else { b"GET /healthz HTTP/1.1\r\nX-Slow: " };
        connection.write_all(begun).await.unwrap();
        idle.push(connection);
    }
    let asked = send(address, "GET /healthz", b"").await;
    let answer = read(asked).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for connection in idle {
        read(connection).await;
    }
}

/// Heads that no client has a reason to send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_without_end_is_refused() {
    let bench = Bench::new().await;
    let (address, _serving) = start(&bench, Bounds { head: Duration::from_secs(2), ..Bounds::default() }).await;
    let many: String = (0..5000).map(|n| format!("X-{n}: bomb\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "a".repeat(8 << 20));
    let path = "a".repeat(100_000);
    for (request, status) in [
        (format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n{many}\r\n"), "431"),
        (format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n{long}\r\n"), "431"),
        (format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\n\r\n"), "414"),
        ("\0\0\0\0 no request at all\r\n\r\n".to_owned(), "400"),
    ] {
        let (mut answers, mut asks) = TcpStream::connect(address).await.unwrap().into_split();
        // The server answers before all of it was sent, and hears no more.
        let sending = tokio::spawn(async move { asks.write_all(request.as_bytes()).await });
        let mut answer = [0; 12];
        answers.read_exact(&mut answer).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"));
        sending.abort();
    }
    let asked = send(address, "GET /healthz", b"").await;
    assert!(read(asked).await.starts_with("HTTP/1.1 200"));
}

/// Bodies that never end, as fast as one byte: each holds one of the places for uploads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_ends_gives_its_place_back() {
    let limits = Limits { answer: Duration::from_millis(500), uploads: 2, ..Limits::default() };
    let bench = Bench::with(limits, Gate::Loopback).await;
    let (address, _serving) = start(&bench, Bounds { head: Duration::from_millis(500), ..Bounds::default() }).await;
    for (path, kind) in [
        ("/api/faces", "image/png"),
        ("/api/faces", "multipart/form-data; boundary=x"),
        ("/api/faces", "application/x-tar"),
        ("/api/labels", "application/json"),
        ("/api/sql", "application/json"),
    ] {
        let mut slow = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n{{"
        );
        slow.write_all(head.as_bytes()).await.unwrap();
        let answer = read(slow).await;
        assert!(answer.starts_with("HTTP/1.1 503") || answer.starts_with("HTTP/1.1 400"), "{path} {kind}: {answer}");
        let image = [b"\x89PNG ", path.as_bytes(), kind.as_bytes()].concat();
        let answer = read(send(address, "POST /api/faces", &image).await).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "after {path} {kind}: {answer}");
    }
}

/// Bodies of which a byte comes again and again: nothing stands still, and too little moves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_only_drips_gives_its_place_back() {
    let limits = Limits { answer: Duration::from_millis(500), uploads: 1, ..Limits::default() };
    let bench = Bench::with(limits, Gate::Loopback).await;
    let (address, _serving) = start(&bench, Bounds { head: Duration::from_millis(500), ..Bounds::default() }).await;
    for kind in ["application/x-tar", "multipart/form-data; boundary=x", "image/png"] {
        let (mut answers, mut drips) = TcpStream::connect(address).await.unwrap().into_split();
        let head = format!(
            "POST /api/faces HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: 1000000\r\n\r\n"
        );
        drips.write_all(head.as_bytes()).await.unwrap();
        let dripping = tokio::spawn(async move {
            while drips.write_all(b"-").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut answer = [0; 12];
        let told = tokio::time::timeout(HANG, answers.read_exact(&mut answer)).await;
        told.expect("it drips for as long as it likes").unwrap();
        let expected = if kind == "image/png" { "HTTP/1.1 503" } else { "HTTP/1.1 400" };
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{kind}");
        dripping.abort();
        let image = [b"\x89PNG ", kind.as_bytes()].concat();
        let answer = read(send(address, "POST /api/faces", &image).await).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "after {kind}: {answer}");
    }
}
