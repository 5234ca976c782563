//! `/api/flags`: faces that somebody wants looked at; those that stand are rows of the view `flagged`.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::problem::Problem;
use super::{Api, body, time, to_the_end};
use crate::access::Role;
use crate::flags;
use crate::reading::rows;

/// Flags in one answer.
const MOST: u32 = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Set {
    face_id: String,
    annotator: Option<String>,
    note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Who {
    annotator: Option<String>,
}

/// Flags that stand, the newest first.
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let session = api.reading.newest().await?;
    let sql = format!(
        "select flag_id, face_id, annotator, note, cast(created_at as varchar) as created_at, expression, origin from flagged \
         order by created_at desc limit {MOST}"
    );
    let flags: Vec<Map<String, Value>> = rows(&session, &sql).await?;
    Ok(Json(json!({ "flags": flags })))
}

/// Sets one.
pub(super) async fn set(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.require(Role::Annotator)?;
    let sent: Set = body::json(&headers, &body)?;
    let annotator = caller.annotator(sent.annotator.as_deref())?;
    let flag =
        to_the_end(async move { Ok(flags::set(&api.parts.corpus, &sent.face_id, &annotator, &sent.note).await?) })
            .await?;
    let body = json!({
        "flag_id": flag.flag_id,
        "face_id": flag.face_id,
        "annotator": flag.annotator,
        "note": flag.note,
        "created_at": time::text(flag.created_at),
    });
    Ok((StatusCode::CREATED, Json(body)))
}

/// Takes one off: whoever may judge may say that it was looked at.
pub(super) async fn take_off(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(flag_id): Path<String>,
    Query(who): Query<Who>,
) -> Result<StatusCode, Problem> {
    caller.require(Role::Annotator)?;
    let annotator = caller.annotator(who.annotator.as_deref())?;
    to_the_end(async move { Ok(flags::take_off(&api.parts.corpus, &flag_id, &annotator).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}
