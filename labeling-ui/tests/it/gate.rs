//! Who is let through: this machine's own user on loopback, tokens beyond it, pages of other sites nowhere.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{Method, Request, header};
use marginalia_labeling_ui::api::{Limits, Rate};
use marginalia_labeling_ui::{Access, Error, Gate, Identity, Result, Role};
use serde_json::json;

use crate::bench::{Answer, Bench, json, to};

async fn ask(bench: &Bench, host: &str, more: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().uri("/api/status").header(header::HOST, host);
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    bench.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_loopback_only_names_of_this_machine_are_answered() {
    let bench = Bench::new().await;
    for host in ["localhost", "LOCALHOST:80", "127.0.0.1:7878", "127.8.9.10", "[::1]:7878"] {
        assert_eq!(ask(&bench, host, &[]).await.status, 200, "{host}");
    }
    let foreign = [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:7878",
        "192.168.1.7:7878",
        "0.0.0.0",
        "[::2]",
    ];
    for host in foreign {
        ask(&bench, host, &[]).await.problem(403, "foreign_host");
    }
    for host in ["", "a b", "localhost@evil.example", "localhost:7878/path"] {
        ask(&bench, host, &[]).await.problem(400, "bad_host");
    }
    ask(&bench, "localhost", &[("host", "evil.example")]).await.problem(400, "bad_host");
    let nameless = Request::builder().uri("/api/status").body(Body::empty()).unwrap();
    bench.send(nameless).await.problem(400, "bad_host");
    let two_faced = Request::builder().uri("http://evil.example/api/status").header(header::HOST, "localhost");
    bench.send(two_faced.body(Body::empty()).unwrap()).await.problem(400, "bad_host");
    // Whoever watches over the process may use any name.
    let health = Request::builder().uri("/healthz").header(header::HOST, "evil.example").body(Body::empty()).unwrap();
    assert_eq!(bench.send(health).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_sites_are_refused() {
    let bench = Bench::new().await;
    let host = "localhost:7878";
    assert_eq!(ask(&bench, host, &[("origin", "http://localhost:7878")]).await.status, 200);
    assert_eq!(ask(&bench, host, &[("sec-fetch-site", "same-origin")]).await.status, 200);
    assert_eq!(ask(&bench, host, &[("sec-fetch-site", "none")]).await.status, 200);
    let foreign = ["http://evil.example", "null", "http://localhost:3000", "http://localhost", "localhost:7878", ""];
    for origin in foreign {
        ask(&bench, host, &[("origin", origin)]).await.problem(403, "foreign_origin");
    }
    for site in ["cross-site", "same-site"] {
        ask(&bench, host, &[("sec-fetch-site", site)]).await.problem(403, "foreign_origin");
    }
    // A form of another site, as a browser sends it without asking first.
    let face = &bench.faces(1).await[0];
    let label = json!({ "face_id": face, "expression": "fear", "annotator": "ada" });
    let form = to(Method::POST, "/api/labels").header(header::ORIGIN, "http://evil.example");
    bench.send(json(form, &label)).await.problem(403, "foreign_origin");
    assert_eq!(bench.count("select count(*) from labels").await, 0);
}

struct Tokens;

/// A gate that knows a token for each role.
pub fn tokens() -> Gate {
    Gate::Tokens(Arc::new(Tokens))
}

#[async_trait]
impl Access for Tokens {
    async fn bearer(&self, token: &str) -> Result<Option<Identity>> {
        let identity = |name: &str, role| Some(Identity { name: name.to_owned(), role });
        Ok(match token {
            "r" => identity("reader", Role::Reader),
            "a" => identity("ada", Role::Annotator),
            "b" => identity("bob", Role::Annotator),
            "root" => identity("root", Role::Admin),
            "panic" => panic!("as asked for"),
            _ => None,
        })
    }
}

/// A request of the bearer of a token.
pub fn with_token(method: Method, path: &str, token: &str) -> Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "faces.example")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_loopback_a_token_says_who_asks_and_what_they_may() {
    let bench = Bench::with(Limits::default(), tokens()).await;
    let faces = bench.faces(3).await;
    for wrong in [None, Some("Bearer nobody"), Some("Basic a"), Some("a"), Some("Bearer")] {
        let more: Vec<(&str, &str)> = wrong.map(|value| ("authorization", value)).into_iter().collect();
        let refused = ask(&bench, "faces.example", &more).await;
        assert_eq!(refused.header(header::WWW_AUTHENTICATE), "Bearer");
        refused.problem(401, "no_token");
    }
    // A panic costs its own request.
    ask(&bench, "faces.example", &[("authorization", "Bearer panic")]).await.problem(500, "internal");
    // Nobody on this machine is let through by its name, and no token by a page of another site.
    ask(&bench, "localhost", &[]).await.problem(401, "no_token");
    ask(&bench, "faces.example", &[("authorization", "Bearer a"), ("origin", "http://evil.example")])
        .await
        .problem(403, "foreign_origin");
    assert_eq!(ask(&bench, "faces.example", &[("authorization", "bearer r")]).await.status, 200);

    let label = |n: usize, annotator: Option<&str>| {
        let face_id = &faces[n];
        json!({ "face_id": face_id, "expression": "fear", "annotator": annotator })
    };
    let submit =
        async |token: &str, label| bench.send(json(with_token(Method::POST, "/api/labels", token), &label)).await;
    submit("r", label(0, None)).await.problem(403, "role");
    submit("a", label(0, Some("bob"))).await.problem(403, "other_annotator");
    let hers = submit("a", label(0, None)).await.json()["labels"][0].clone();
    assert_eq!(hers["annotator"], "ada");
    assert_eq!(submit("root", label(1, Some("guest"))).await.json()["labels"][0]["annotator"], "guest");

    let path = format!("/api/labels/{}", hers["label_id"].as_str().unwrap());
    let take_back =
        async |token| bench.send(with_token(Method::DELETE, &path, token).body(Body::empty()).unwrap()).await;
    take_back("r").await.problem(403, "role");
    take_back("b").await.problem(403, "other_annotator");
    assert_eq!(take_back("a").await.status, 200);

    let queue =
        async |token| bench.send(with_token(Method::GET, "/api/queue", token).body(Body::empty()).unwrap()).await;
    queue("r").await.problem(403, "role");
    assert_eq!(queue("b").await.json()["tasks"].as_array().unwrap().len(), 2);
    let upload = async |token, image: &'static str| {
        let path = "/api/faces?name=a.png";
        let request = with_token(Method::POST, path, token).header(header::CONTENT_TYPE, "image/png");
        bench.send(request.body(Body::from(image)).unwrap()).await
    };
    upload("a", "\u{89}PNG").await.problem(403, "role");
    // Where a face was seen says who sent it.
    let refused = upload("root", "no").await.problem(422, "refused");
    assert_eq!(refused["detail"], "upload@root:a.png");

    // One key of two people is two requests.
    let keyed = async |token, n| {
        let request = with_token(Method::POST, "/api/labels", token).header("idempotency-key", "1");
        bench.send(json(request, &label(n, None))).await
    };
    assert_eq!(keyed("a", 2).await.status, 201);
    keyed("b", 2).await.problem(422, "reused_key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_keeps_its_token_where_no_script_reads_it() {
    let bench = Bench::with(Limits::default(), tokens()).await;
    let request = |method| Request::builder().method(method).uri("/api/session").header(header::HOST, "faces.example");
    let log_in = async |token: &str, origin: &str| {
        let request = request(Method::POST).header(header::ORIGIN, origin);
        bench.send(json(request, &json!({ "token": token }))).await
    };
    let answer = log_in("a", "https://faces.example").await;
    assert_eq!(answer.json(), json!({ "name": "ada", "role": "annotator", "blind": false }));
    let cookie = answer.header(header::SET_COOKIE);
    let kept = "marginalia=a; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000";
    assert_eq!(cookie, format!("{kept}; Secure"));
    assert_eq!(log_in("a", "http://faces.example").await.header(header::SET_COOKIE), kept);
    for token in ["nobody", "", "a; Domain=example", "a\r\nx: y"] {
        let refused = log_in(token, "http://faces.example").await;
        assert!(!refused.headers.contains_key(header::SET_COOKIE));
        refused.problem(401, "no_token");
    }
    log_in("a", "http://evil.example").await.problem(403, "foreign_origin");
    let who = async |cookie: &str, authorization: Option<&str>| {
        let mut request = request(Method::GET).header(header::COOKIE, cookie);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        bench.send(request.body(Body::empty()).unwrap()).await
    };
    assert_eq!(who("theme=dark; marginalia=a", None).await.json()["name"], "ada");
    // The header counts where there is one, also a wrong one.
    assert_eq!(who("marginalia=a", Some("Bearer b")).await.json()["name"], "bob");
    who("marginalia=a", Some("Bearer nobody")).await.problem(401, "no_token");
    who("marginalia=nobody", None).await.problem(401, "no_token");
    who("xmarginalia=a", None).await.problem(401, "no_token");
    let log_out = request(Method::DELETE).header(header::COOKIE, "marginalia=a").body(Body::empty()).unwrap();
    let gone = bench.send(log_out).await;
    assert!(gone.status == 204 && gone.header(header::SET_COOKIE).contains("Max-Age=0"), "{gone:?}");
    // On loopback there is nothing to keep.
    let local = Bench::new().await;
    assert_eq!(local.get("/api/session").await.json(), json!({ "name": null, "role": "admin", "blind": false }));
    let answer = local.post("/api/session", json!({ "token": "a" })).await;
    assert!(answer.status == 200 && !answer.headers.contains_key(header::SET_COOKIE), "{answer:?}");
}

#[test]
fn an_address_others_can_reach_needs_tokens() {
    let gate = |address: &str, access| Gate::of(address.parse::<SocketAddr>().unwrap(), access);
    for address in ["127.0.0.1:0", "127.1.2.3:80", "[::1]:7878"] {
        assert!(matches!(gate(address, None), Ok(Gate::Loopback)));
    }
    for address in ["0.0.0.0:7878", "[::]:7878", "192.168.1.7:80"] {
        let refused = gate(address, None).unwrap_err();
        assert!(matches!(refused, Error::NeedsTokens { .. }) && refused.to_string().contains(address), "{refused}");
        let access: Arc<dyn Access> = Arc::new(Tokens);
        assert!(matches!(gate(address, Some(access)), Ok(Gate::Tokens(_))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_too_often_is_told_when_to_go_on() {
    let limits = Limits { bearers: Rate::new(1, 5), strangers: Rate::new(1, 3), ..Limits::default() };
    let bench = Bench::with(limits, tokens()).await;
    let asked = async |token: &str| {
        bench.send(with_token(Method::GET, "/api/session", token).body(Body::empty()).unwrap()).await
    };
    for _ in 0..5 {
        asked("a").await.json();
    }
    let refused = asked("a").await;
    assert!(refused.header(header::RETRY_AFTER).parse::<u64>().unwrap() >= 1);
    refused.problem(429, "too_many_requests");
    // Each bearer has a pace of their own, and so has who shows no good token.
    asked("b").await.json();
    for _ in 0..3 {
        asked("guess").await.problem(401, "no_token");
    }
    asked("guess").await.problem(429, "too_many_requests");
    let login = json(to(Method::POST, "/api/session"), &json!({ "token": "guess" }));
    bench.send(login).await.problem(429, "too_many_requests");
    asked("b").await.json();
    assert_eq!(bench.get("/healthz").await.status, 200);
}
