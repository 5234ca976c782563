//! `GET /api/status`: what `marginalia status` shows.

use axum::Json;
use axum::extract::State;

use super::Api;
use super::operation::Operation;
use super::problem::Problem;
use crate::status::Status;

/// `GET /api/status`.
pub(super) fn describe_show() -> Operation {
    Operation::new("status", "What the corpus holds, how far the loop is, what to look at.")
        .answers::<Status>(200, "As `marginalia status --json`.")
}

/// The corpus at a glance.
pub(super) async fn show(State(api): State<Api>) -> Result<Json<Status>, Problem> {
    Ok(Json(Status::read(&api.parts.corpus, &api.reading.newest().await?).await?))
}
