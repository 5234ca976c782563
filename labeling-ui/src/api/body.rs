//! JSON bodies: bytes in, a value or a problem that says what is wrong out.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::Api;
use super::problem::Problem;

/// All of a body, for routes whose answers may take longer than a body may.
pub(super) async fn whole(request: Request, api: &Api) -> Result<Bytes, Problem> {
    match tokio::time::timeout(api.parts.limits.answer, Bytes::from_request(request, api)).await {
        Ok(read) => read.map_err(|rejection| Problem::from_status(rejection.status())),
        Err(_) => Err(Problem::from_status(StatusCode::SERVICE_UNAVAILABLE)),
    }
}

/// The value that a body holds.
pub(super) fn json<T: DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, Problem> {
    if essence(headers).as_deref() != Some("application/json") {
        let detail = "The body is JSON: send it with Content-Type: application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unexpected_json", format!("The body: {error}."))
        }
        _ => Problem::new(StatusCode::BAD_REQUEST, "bad_json", format!("The body does not read as JSON: {error}.")),
    })
}

/// The type of a body, in lower case and without parameters.
pub(super) fn essence(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}
