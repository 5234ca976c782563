//! `/api/flags`: faces that somebody wants looked at; those that stand are rows of the view `flagged`.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use marginalia_store::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::caller::{Asker, Caller};
use super::operation::Operation;
use super::paging::{Part, no_place};
use super::problem::Problem;
use super::{Api, body, time, to_the_end};
use crate::access::Role;
use crate::face_id::FaceId;
use crate::flags::{self, NOTE_CHARS};
use crate::reading::rows;

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfFlag {
    #[schemars(extend("format" = "uuid"))]
    id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Set {
    #[schemars(with = "FaceId")]
    face_id: String,
    /// Needed where there is no token.
    annotator: Option<String>,
    /// What is to be looked at.
    #[schemars(length(min = 1, max = NOTE_CHARS))]
    note: String,
}

/// A face that somebody wants looked at.
#[derive(Deserialize, Serialize, JsonSchema)]
pub(super) struct Flag {
    #[schemars(extend("format" = "uuid"))]
    flag_id: String,
    #[schemars(with = "FaceId")]
    face_id: String,
    annotator: String,
    note: String,
    created_at: String,
    /// The face's label, if it has one; only in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    expression: Option<String>,
    /// Where that comes from; only in a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    origin: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Flags {
    flags: Vec<Flag>,
    /// For `after`, where there are more.
    next: Option<String>,
}

/// `GET /api/flags`.
pub(super) fn describe_list() -> Operation {
    Operation::new("flags", "Faces that somebody wants looked at, the newest flag first: rows of the view `flagged`.")
        .query::<Part>()
        .answers::<Flags>(200, "The flags.")
}

/// `POST /api/flags`.
pub(super) fn describe_set() -> Operation {
    Operation::new("setFlag", "Sets a flag on a face, with a note that says why. It changes no label.")
        .role(Role::Annotator)
        .body::<Set>()
        .answers::<Flag>(201, "The flag.")
        .problem(404, "No such face.")
}

/// `DELETE /api/flags/{id}`.
pub(super) fn describe_take_off() -> Operation {
    Operation::new("takeOffFlag", "Takes a flag off: it was looked at.")
        .role(Role::Annotator)
        .path::<OfFlag>()
        .query::<Asker>()
        .answers_empty(204, "It is off.")
        .problem(404, "Unknown, or taken off before.")
}

/// Flags that stand, the newest first: ids begin with the time at which they were made.
pub(super) async fn list(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(part): Query<Part>,
) -> Result<Json<Flags>, Problem> {
    let session = api.seen_by(&caller, Moment::Now).await?;
    let limit = part.read()?;
    let after = match &part.after {
        Some(after) => format!("where flag_id < '{}'", Uuid::parse_str(after).map_err(|_| no_place(after))?),
        None => String::new(),
    };
    let sql = format!(
        "select flag_id, face_id, annotator, note, cast(created_at as varchar) as created_at, expression, origin from flagged \
         {after} order by flag_id desc limit {limit}"
    );
    let mut flags: Vec<Flag> = rows(&session, &sql).await?;
    let next = part.cut(&mut flags, |flag| flag.flag_id.clone());
    Ok(Json(Flags { flags, next }))
}

/// Sets one.
pub(super) async fn set(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Flag>), Problem> {
    let sent: Set = body::json(&headers, &body)?;
    let annotator = caller.annotator(sent.annotator.as_deref())?;
    let flag =
        to_the_end(async move { Ok(flags::set(&api.parts.corpus, &sent.face_id, &annotator, &sent.note).await?) })
            .await?;
    let flag = Flag {
        flag_id: flag.flag_id,
        face_id: flag.face_id,
        annotator: flag.annotator,
        note: flag.note.unwrap_or_default(),
        created_at: time::text(flag.created_at),
        expression: None,
        origin: None,
    };
    Ok((StatusCode::CREATED, Json(flag)))
}

/// Takes one off: whoever may judge may say that it was looked at.
pub(super) async fn take_off(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(OfFlag { id }): Path<OfFlag>,
    Query(asker): Query<Asker>,
) -> Result<StatusCode, Problem> {
    let annotator = caller.annotator(asker.annotator.as_deref())?;
    to_the_end(async move { Ok(flags::take_off(&api.parts.corpus, &id, &annotator).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}
