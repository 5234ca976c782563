//! `GET /api/queue`: the next faces for one annotator, theirs until the lease is over.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Api;
use super::caller::Caller;
use super::problem::Problem;

/// Faces that one request may ask for.
const MOST: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    annotator: Option<String>,
    #[serde(default = "few")]
    limit: usize,
}

fn few() -> usize {
    10
}

/// Hands out the top of the queue, or says why there is nothing.
pub(super) async fn take(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(ask): Query<Ask>,
) -> Result<Json<Value>, Problem> {
    let annotator = caller.annotator(ask.annotator.as_deref())?;
    if !(1..=MOST).contains(&ask.limit) {
        let detail = format!("limit is {}; valid: 1 to {MOST}.", ask.limit);
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_limit", detail));
    }
    let served = api.desk.take(&annotator, ask.limit).await?;
    let message = served.nothing.as_ref().map(|nothing| nothing.message());
    let mut answer = json!(served);
    if let (Some(message), Some(nothing)) = (message, answer["nothing"].as_object_mut()) {
        nothing.insert("message".to_owned(), message.into());
    }
    Ok(Json(answer))
}
