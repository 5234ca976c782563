//! Labels taken back: `DELETE /api/labels/{id}` for one, `POST /api/retractions` for many at once, which are one commit, so that
//! what was said in one step is undone in one.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use marginalia_store::tables::labels::Label;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::problem::Problem;
use super::{Api, body, to_the_end};
use crate::access::Role;

/// Labels in one request.
const MOST: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    annotator: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    label_ids: Vec<String>,
    annotator: Option<String>,
}

/// Takes a label back.
pub(super) async fn one(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(label_id): Path<String>,
    Query(by): Query<By>,
) -> Result<Json<Value>, Problem> {
    let mut taken = retract(api, caller, vec![label_id], by.annotator).await?;
    Ok(Json(taken.pop().unwrap_or_default()))
}

/// Takes labels back, all of them or none.
pub(super) async fn several(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let Several { mut label_ids, annotator } = body::json(&headers, &body)?;
    if !(1..=MOST).contains(&label_ids.len()) {
        let detail = format!("{} labels; valid: 1 to {MOST} in one request.", label_ids.len());
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many", detail));
    }
    label_ids.sort_unstable();
    label_ids.dedup();
    Ok(Json(json!({ "retractions": retract(api, caller, label_ids, annotator).await? })))
}

async fn retract(api: Api, caller: Caller, ids: Vec<String>, given: Option<String>) -> Result<Vec<Value>, Problem> {
    caller.require(Role::Annotator)?;
    let labels = api.judge.labels(&ids).await?;
    let is_others = |label: &&Label| caller.name().is_some_and(|name| name != label.annotator);
    if let Some(label) = labels.iter().find(is_others)
        && caller.require(Role::Admin).is_err()
    {
        let detail =
            format!("Label {} is by {}; only they or an admin can take it back.", label.label_id, label.annotator);
        return Err(Problem::new(StatusCode::FORBIDDEN, "other_annotator", detail));
    }
    // On this machine nobody has to say who takes back: the labels' own annotator does.
    let own = || labels.first().filter(|_| caller.name().is_none()).map(|label| label.annotator.clone());
    let annotator = caller.annotator(given.or_else(own).as_deref())?;
    to_the_end(async move {
        let rows = api.judge.retract(labels, &annotator).await?;
        api.desk.taken_back();
        let taken = |row: &Label| json!({ "label_id": row.label_id, "retracts": row.retracts, "face_id": row.face_id });
        let taken: Vec<Value> = rows.iter().map(taken).collect();
        for retraction in &taken {
            api.parts.events.tell("label_taken_back", retraction);
        }
        Ok(taken)
    })
    .await
}
