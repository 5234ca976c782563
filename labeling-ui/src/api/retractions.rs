//! Labels taken back: `DELETE /api/labels/{id}` for one, `POST /api/retractions` for many at once, which are one
//! commit, so that what was said in one step is undone in one.

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use marginalia_store::tables::labels::Label;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::caller::{Asker, Caller};
use super::operation::Operation;
use super::problem::Problem;
use super::{Api, body, to_the_end};
use crate::access::Role;
use crate::error::Error;
use crate::face_id::FaceId;

/// Labels in one request.
const MOST: usize = 1000;

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfLabel {
    #[schemars(extend("format" = "uuid"))]
    id: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Several {
    #[schemars(length(min = 1, max = MOST), extend("items" = { "type": "string", "format": "uuid" }))]
    label_ids: Vec<String>,
    /// Left out on this machine, it is the labels' own annotator.
    annotator: Option<String>,
}

/// A row of `labels` that takes another one back.
#[derive(Serialize, JsonSchema)]
pub(super) struct Retraction {
    /// The row's own id.
    #[schemars(extend("format" = "uuid"))]
    label_id: String,
    /// The label that it takes back.
    #[schemars(extend("format" = "uuid"))]
    retracts: String,
    #[schemars(with = "FaceId")]
    face_id: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Retractions {
    retractions: Vec<Retraction>,
}

/// `DELETE /api/labels/{id}`.
pub(super) fn describe_one() -> Operation {
    Operation::new("takeBack", "Takes a label back: the undo. The history keeps both. Its annotator, or an admin.")
        .role(Role::Annotator)
        .path::<OfLabel>()
        .query::<Asker>()
        .answers::<Retraction>(200, "The row that takes it back.")
        .problem(404, "Unknown, or taken back before.")
}

/// `POST /api/retractions`.
pub(super) fn describe_several() -> Operation {
    Operation::new(
        "takeBackSeveral",
        "Takes labels back, all of them in one commit or none. Their annotator, or an admin.",
    )
    .role(Role::Annotator)
    .body::<Several>()
    .answers::<Retractions>(200, "The rows that take them back.")
    .problem(404, "One is unknown, or was taken back before.")
}

/// Takes a label back.
pub(super) async fn one(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Path(OfLabel { id }): Path<OfLabel>,
    Query(asker): Query<Asker>,
) -> Result<Json<Retraction>, Problem> {
    let taken = retract(api, caller, vec![id], asker.annotator).await?.pop();
    Ok(Json(taken.ok_or_else(|| Error::Internal { what: "a label taken back came to no row".to_owned() })?))
}

/// Takes labels back, all of them or none.
pub(super) async fn several(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Retractions>, Problem> {
    let Several { mut label_ids, annotator } = body::json(&headers, &body)?;
    if !(1..=MOST).contains(&label_ids.len()) {
        let detail = format!("{} labels; valid: 1 to {MOST} in one request.", label_ids.len());
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many", detail));
    }
    label_ids.sort_unstable();
    label_ids.dedup();
    Ok(Json(Retractions { retractions: retract(api, caller, label_ids, annotator).await? }))
}

async fn retract(
    api: Api,
    caller: Caller,
    ids: Vec<String>,
    given: Option<String>,
) -> Result<Vec<Retraction>, Problem> {
    let labels = api.judge.labels(&ids).await?;
    let is_others = |label: &&Label| caller.name().is_some_and(|name| name != label.annotator);
    if let Some(label) = labels.iter().find(is_others)
        && caller.require(Role::Admin).is_err()
    {
        let detail = format!("Label {} is by somebody else; only they or an admin can take it back.", label.label_id);
        return Err(Problem::new(StatusCode::FORBIDDEN, "other_annotator", detail));
    }
    // On this machine nobody has to say who takes back: the labels' own annotator does.
    let own = || labels.first().filter(|_| caller.name().is_none()).map(|label| label.annotator.clone());
    let annotator = caller.annotator(given.or_else(own).as_deref())?;
    to_the_end(async move {
        let rows = api.judge.retract(labels, &annotator).await?;
        api.desk.taken_back();
        let taken = |row: Label| Retraction {
            label_id: row.label_id,
            retracts: row.retracts.unwrap_or_default(),
            face_id: row.face_id,
        };
        let taken: Vec<Retraction> = rows.into_iter().map(taken).collect();
        for retraction in &taken {
            api.parts.events.tell("label_taken_back", retraction);
        }
        Ok(taken)
    })
    .await
}
