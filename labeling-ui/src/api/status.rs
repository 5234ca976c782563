//! `GET /api/status`: what `marginalia status` shows.

use axum::Json;
use axum::extract::State;

use super::Api;
use super::problem::Problem;
use crate::status::Status;

/// The corpus at a glance.
pub(super) async fn show(State(api): State<Api>) -> Result<Json<Status>, Problem> {
    Ok(Json(Status::read(&api.parts.corpus, &api.reading.newest().await?).await?))
}
