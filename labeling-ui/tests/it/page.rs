//! The page's files, where they were built with this binary; without them the API answers all the same.

use axum::body::Body;
use axum::http::{Method, header};
use marginalia_labeling_ui::api::Limits;

use crate::bench::{Bench, to};
use crate::gate::tokens;

/// Whether `web/dist` held a page when this was built.
async fn is_built(bench: &Bench) -> bool {
    bench.get("/").await.status == 200
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_of_the_page_is_the_page_and_may_run_nothing_foreign() {
    let bench = Bench::new().await;
    if !is_built(&bench).await {
        println!("SKIPPED (no page in this build)");
        return;
    }
    for path in ["/", "/label", "/rounds/3", "/face/0a1b"] {
        let answer = bench.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header(header::CONTENT_TYPE)), (200, "text/html; charset=utf-8"));
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-cache");
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.contains("script-src 'self';") && policy.contains("require-trusted-types-for 'script'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-frame-options"), "DENY");
    }
    let page = String::from_utf8(bench.get("/").await.body.to_vec()).unwrap();
    assert!(!page.contains("<style") && !page.contains("<script>"), "{page}");
    let script = page.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(".js")).unwrap();
    let answer = bench.get(script).await;
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/javascript; charset=utf-8");
    assert!(answer.header(header::CACHE_CONTROL).contains("immutable"));
    let again = to(Method::GET, script).header(header::IF_NONE_MATCH, answer.header(header::ETAG));
    assert_eq!(bench.send(again.body(Body::empty()).unwrap()).await.status, 304);
    bench.get("/assets/nothing.js").await.problem(404, "not_found");
    bench.delete("/").await.problem(405, "method_not_allowed");
}

/// Files of the page are those that it was built from: a path leads to none of the machine's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_leads_out_of_the_page_leads_nowhere() {
    let bench = Bench::new().await;
    let page = bench.get("/").await.body;
    for path in [
        "/..%2fCargo.toml",
        "/../Cargo.toml",
        "/../../Cargo.toml",
        "/assets/..%2f..%2f..%2fCargo.toml",
        "/assets/../../../Cargo.toml",
        "//etc/hosts.allow",
    ] {
        bench.get(path).await.problem(404, "not_found");
    }
    // Without a dot it may be a path of the page, which reads from its address what to show.
    for path in ["/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/..%2f..%2fetc%2fpasswd%00", "//etc/passwd", "/%2fetc%2fpasswd"] {
        let answer = bench.get(path).await;
        assert!(answer.status == 404 || (answer.status == 200 && answer.body == page), "{path}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_shown_before_the_login_and_to_whoever_follows_a_link() {
    let bench = Bench::with(Limits::default(), tokens()).await;
    let expected = if is_built(&bench).await { 200 } else { 404 };
    let link = to(Method::GET, "/label").header("sec-fetch-site", "cross-site");
    assert_eq!(bench.send(link.body(Body::empty()).unwrap()).await.status, expected);
    for path in ["/api/status", "/metrics"] {
        bench.get(path).await.problem(401, "no_token");
    }
}
