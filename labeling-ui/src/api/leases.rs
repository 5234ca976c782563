//! `/api/leases`: faces in people's hands. `POST` is the heartbeat that keeps them there, `DELETE` puts them back.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::problem::Problem;
use super::{Api, body};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Heartbeat {
    annotator: Option<String>,
    face_ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutBack {
    annotator: Option<String>,
    /// Ids with commas between; all where it is left out.
    face_ids: Option<String>,
}

/// Extends leases; says which of them are lost.
pub(super) async fn extend(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let heartbeat: Heartbeat = body::json(&headers, &body)?;
    let annotator = caller.annotator(heartbeat.annotator.as_deref())?;
    let extended = api.desk.extend(&annotator, &heartbeat.face_ids);
    let (mut held, mut lost) = (Vec::new(), Vec::new());
    for (face_id, is_held) in heartbeat.face_ids.into_iter().zip(extended) {
        if is_held { held.push(face_id) } else { lost.push(face_id) }
    }
    Ok(Json(json!({ "held": held, "lost": lost, "lease_seconds": api.desk.term().as_secs_f64() })))
}

/// Puts faces back into the queue.
pub(super) async fn release(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(put_back): Query<PutBack>,
) -> Result<Json<Value>, Problem> {
    let annotator = caller.annotator(put_back.annotator.as_deref())?;
    let face_ids: Option<Vec<String>> =
        put_back.face_ids.map(|ids| ids.split(',').map(|id| id.trim().to_owned()).collect());
    Ok(Json(json!({ "released": api.desk.release(&annotator, face_ids.as_deref()) })))
}
