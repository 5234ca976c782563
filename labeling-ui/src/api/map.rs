//! `GET /api/map`: where the faces of a round stand on its map, with what the round said of them.
//!
//! Columns instead of rows: a hundred thousand points are a few megabytes, and the page draws them as they come.

use axum::Json;
use axum::extract::{Query, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::operation::Operation;
use super::problem::Problem;
use crate::face_id::FaceId;
use crate::reading::rows;

/// `GET /api/map`.
pub(super) fn describe_show() -> Operation {
    let summary = "Where the faces of a round stand on its map, with what the round and people say of them: a list for \
                   each column, the n-th of each about the same face.";
    Operation::new("map", summary)
        .query::<Wanted>()
        .answers::<Map>(200, "The map; empty lists where the round has none.")
        .problem(404, "No such round.")
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The round; the current one where it is left out.
    #[schemars(range(min = 1))]
    round: Option<u32>,
}

/// One face of the map.
#[derive(Deserialize)]
struct Point {
    face_id: String,
    x: f32,
    y: f32,
    predicted: Option<String>,
    subset: Option<Subset>,
    confidence: Option<f32>,
    label: Option<String>,
    origin: Option<String>,
}

/// The part of the faces that a round put one in: I where its confidence reached the margin, II where it did not.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[schemars(inline)]
enum Subset {
    I,
    II,
}

/// The map, a list for each column; the n-th of each is about the same face.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct Map {
    /// The round whose teacher's features these are; none before the first.
    round: Option<u32>,
    #[schemars(with = "Vec<FaceId>")]
    face_id: Vec<String>,
    x: Vec<f32>,
    y: Vec<f32>,
    /// The round's most probable class.
    predicted: Vec<Option<String>>,
    subset: Vec<Option<Subset>>,
    confidence: Vec<Option<f32>>,
    /// The face's label in `corpus` now.
    label: Vec<Option<String>>,
    /// Where that comes from: human, import, simulated or pseudo.
    origin: Vec<Option<String>>,
}

/// Shows it.
pub(super) async fn show(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Result<Json<Map>, Problem> {
    let session = api.reading.newest().await?;
    if let Some(round) = wanted.round {
        session.snapshot().round(round)?;
    }
    let Some(round) = wanted.round.or(session.snapshot().current_round()) else { return Ok(Json(Map::default())) };
    let sql = format!(
        "select m.face_id, m.x, m.y, p.expression as predicted, p.subset, p.confidence, c.expression as label, \
         c.origin from projections m \
         left join (select face_id, expression, subset, confidence from predictions where round = {round}) p \
         on m.face_id = p.face_id \
         left join corpus c on m.face_id = c.face_id where m.round = {round} order by m.face_id"
    );
    let points: Vec<Point> = rows(&session, &sql).await?;
    let mut map = Map { round: Some(round), ..Map::default() };
    for point in points {
        map.face_id.push(point.face_id);
        map.x.push(point.x);
        map.y.push(point.y);
        map.predicted.push(point.predicted);
        map.subset.push(point.subset);
        map.confidence.push(point.confidence);
        map.label.push(point.label);
        map.origin.push(point.origin);
    }
    Ok(Json(map))
}
