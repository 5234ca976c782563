//! The labelling page: what a browser runs, built from `web/` and part of the binary.
//!
//! In: a path. Out: the file of that name, and for every other path the page itself, which reads from its address what
//! to show. The files hold no data, so whoever has no token yet is given them too, and gets as far as the login.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::api::tags;

#[derive(RustEmbed)]
#[folder = "web/dist"]
struct Files;

/// The page itself.
const PAGE: &str = "index.html";
/// Files whose names change with what is in them.
const HASHED: &str = "assets/";

/// What a page may do: its own scripts, styles and requests, nothing inline, nothing from elsewhere. Images are made in
/// the page too (blob).
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self'; \
     connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types svelte-trusted-html marginalia",
);

/// Whether a path is one of the page's, and not the API's.
pub(crate) fn is_of_the_page(path: &str) -> bool {
    !path.starts_with("/api/") && !matches!(path, "/api" | "/metrics" | "/healthz" | "/readyz")
}

/// Answers with a file of the page.
pub(crate) async fn show(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if !is_of_the_page(uri.path()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    match Files::get(path).map(|file| (path, file)).or_else(|| route(path)) {
        Some((name, file)) => answer(name, file, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The page, for a path that is none of its files'. What looks like a file's name is a file that is not there.
fn route(path: &str) -> Option<(&'static str, EmbeddedFile)> {
    let last = path.rsplit('/').next().unwrap_or_default();
    if last.contains('.') { None } else { Files::get(PAGE).map(|file| (PAGE, file)) }
}

fn answer(name: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    let tag = format!("\"{}\"", hash[..16].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let mut response = match tags::has(headers, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, content_type(name))], file.data).into_response(),
    };
    let keep = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// Of the kinds of files that the build makes; anything else is bytes, which no browser runs.
fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
