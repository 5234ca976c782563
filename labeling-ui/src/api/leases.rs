//! `/api/leases`: faces in people's hands. `POST` is the heartbeat that keeps them there, and takes those that somebody
//! chose elsewhere than in the queue; `DELETE` puts them back.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::{Annotator, Caller};
use super::operation::Operation;
use super::problem::Problem;
use super::{Api, body};
use crate::access::Role;
use crate::face_id::FaceId;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Heartbeat {
    /// Needed where there is no token.
    annotator: Option<String>,
    #[schemars(with = "Vec<FaceId>")]
    face_ids: Vec<String>,
    /// Also takes those that nobody has.
    #[serde(default)]
    take: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutBack {
    #[schemars(with = "Option<Annotator>")]
    annotator: Option<String>,
    /// Ids with commas between; all where it is left out.
    face_ids: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Extended {
    #[schemars(with = "Vec<FaceId>")]
    held: Vec<String>,
    /// As they were sent, be they ids or not.
    lost: Vec<String>,
    lease_seconds: f64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Released {
    released: usize,
}

/// `POST /api/leases`.
pub(super) fn describe_extend() -> Operation {
    let summary =
        "A heartbeat: keeps faces in this annotator's hands, or takes those that nobody has, and says which are lost.";
    Operation::new("extendLeases", summary)
        .role(Role::Annotator)
        .body::<Heartbeat>()
        .answers::<Extended>(200, "What is held and what is lost.")
}

/// `DELETE /api/leases`.
pub(super) fn describe_release() -> Operation {
    Operation::new("releaseLeases", "Puts faces back into the queue: those named, or all of this annotator's.")
        .role(Role::Annotator)
        .query::<PutBack>()
        .answers::<Released>(200, "How many.")
}

/// Extends leases or takes them; says which are lost.
pub(super) async fn extend(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Extended>, Problem> {
    let heartbeat: Heartbeat = body::json(&headers, &body)?;
    let annotator = caller.annotator(heartbeat.annotator.as_deref())?;
    let has = match heartbeat.take {
        true => api.desk.hold(&annotator, &heartbeat.face_ids),
        false => api.desk.extend(&annotator, &heartbeat.face_ids),
    };
    let (mut held, mut lost) = (Vec::new(), Vec::new());
    for (face_id, is_held) in heartbeat.face_ids.into_iter().zip(has) {
        if is_held { held.push(face_id) } else { lost.push(face_id) }
    }
    Ok(Json(Extended { held, lost, lease_seconds: api.desk.term().as_secs_f64() }))
}

/// Puts faces back into the queue.
pub(super) async fn release(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(put_back): Query<PutBack>,
) -> Result<Json<Released>, Problem> {
    let annotator = caller.annotator(put_back.annotator.as_deref())?;
    let face_ids: Option<Vec<String>> =
        put_back.face_ids.map(|ids| ids.split(',').map(|id| id.trim().to_owned()).collect());
    Ok(Json(Released { released: api.desk.release(&annotator, face_ids.as_deref()) }))
}
