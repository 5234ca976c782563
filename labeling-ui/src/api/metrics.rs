//! `GET /metrics`, and the measuring of every request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use marginalia_store::TableId;

use super::Api;
use super::operation::Operation;
use super::problem::Problem;
use crate::error::Error;
use crate::metrics::State as Now;

const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// `GET /metrics`.
pub(super) fn describe_show() -> Operation {
    Operation::new("metrics", "Counts, durations and states of this process and its corpus, for Prometheus.")
        .answers_in(200, "OpenMetrics text.", &["application/openmetrics-text"])
}

/// Everything that is counted, and the state of the corpus now.
pub(super) async fn show(State(api): State<Api>) -> Result<Response, Problem> {
    let session = api.reading.newest().await?;
    let snapshot = session.snapshot();
    let now = Now {
        faces: snapshot.count(TableId::Faces, None).await?,
        waiting: api.desk.waiting().await?,
        round: snapshot.current_round(),
        versions: snapshot.versions(),
    };
    let text = api.parts.metrics.text(&now).map_err(|error| Error::Internal { what: error.to_string() })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Notes how long an answer took to begin, by the route and never by the path, of which there are too many.
pub(super) async fn measure(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("page", MatchedPath::as_str);
    api.parts.metrics.answered(method.as_str(), route, response.status().as_u16(), begun.elapsed());
    response
}
