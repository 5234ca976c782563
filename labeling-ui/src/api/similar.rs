//! `GET /api/faces/{id}/similar`: the faces that the current teacher finds most alike, nearest first.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::faces::OfFace;
use super::operation::Operation;
use super::problem::Problem;
use crate::face_id::FaceId;
use crate::reading::rows;

/// Faces in an answer that names no number.
const FEW: u32 = 24;
/// Most in one answer.
const MOST: u32 = 500;

/// `GET /api/faces/{id}/similar`.
pub(super) fn describe_show() -> Operation {
    let summary = "The faces that the current teacher finds most alike, nearest first; none where no feature of the \
                   face is kept.";
    Operation::new("similar", summary)
        .path::<OfFace>()
        .query::<Wanted>()
        .answers::<Similar>(200, "Faces with their cosine distance, their label and what the model says.")
        .problem(404, "No such face.")
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// How many.
    #[serde(default = "few")]
    #[schemars(range(min = 1, max = MOST))]
    k: u32,
}

fn few() -> u32 {
    FEW
}

/// A face that is near.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Near {
    #[schemars(with = "FaceId")]
    face_id: String,
    /// Cosine distance, 0 to 2.
    distance: f32,
    /// Its label in `corpus`, if it has one.
    label: Option<String>,
    origin: Option<String>,
    /// The model's class and how sure it is of it, where it was scored.
    predicted: Option<String>,
    confidence: Option<f32>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Similar {
    /// The round whose teacher's features were compared.
    round: Option<u32>,
    faces: Vec<Near>,
}

/// Shows them; none where no feature of the face is kept.
pub(super) async fn show(
    State(api): State<Api>,
    Path(OfFace { id: face_id }): Path<OfFace>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Similar>, Problem> {
    let k = wanted.k;
    if !(1..=MOST).contains(&k) {
        let detail = format!("k is {k}; it goes from 1 to {MOST}.");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_k", detail));
    }
    // An id that is none would be a part of a query below.
    api.parts.corpus.face(&face_id).await?;
    let session = api.reading.newest().await?;
    let Some(round) = session.snapshot().current_round() else {
        return Ok(Json(Similar { round: None, faces: Vec::new() }));
    };
    let kept = format!("select face_id from embeddings where round = {round} and face_id = '{face_id}' limit 1");
    let kept: Vec<serde_json::Value> = rows(&session, &kept).await?;
    let near = format!(
        "select n.face_id, n.distance, c.expression as label, c.origin, p.expression as predicted, p.confidence \
         from nearest('{face_id}', {k}) n left join corpus c on n.face_id = c.face_id \
         left join current_predictions p on n.face_id = p.face_id order by n.rank"
    );
    let faces = if kept.is_empty() { Vec::new() } else { rows(&session, &near).await? };
    Ok(Json(Similar { round: Some(round), faces }))
}
