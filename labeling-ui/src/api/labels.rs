//! `/api/labels`: judgements come in, one or many in one commit, and are taken back.
//!
//! With an `Idempotency-Key` a request may be sent again, also after a restart, and is answered as the first time.

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use marginalia_store::tables::labels::Label;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::caller::Caller;
use super::operation::Operation;
use super::problem::Problem;
use super::{Api, body, time, to_the_end};
use crate::access::Role;
use crate::error::Error;
use crate::face_id::FaceId;
use crate::judgement::{Answer, Judgement, Lane, MAX_SECONDS, NAME_CHARS, NOTE_CHARS, Origin};
use crate::once::{KEY_CHARS, KEY_PATTERN, RequestKey, Submission};
use crate::queue::Task;

/// Judgements in one request.
const MOST: usize = 1000;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A class or a verdict. What is left out of lane, round and suggestion is as the queue handed the face out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Judgement")]
struct Sent {
    #[schemars(with = "FaceId")]
    face_id: String,
    /// A class of the corpus.
    expression: Option<String>,
    verdict: Option<Verdict>,
    /// Needed where there is no token.
    #[schemars(length(max = NAME_CHARS))]
    annotator: Option<String>,
    lane: Option<SentLane>,
    round: Option<u32>,
    /// The class that was suggested, if one was shown.
    suggestion: Option<String>,
    #[schemars(range(min = 0, max = MAX_SECONDS))]
    seconds: Option<f32>,
    #[schemars(length(max = NOTE_CHARS))]
    note: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Verdict {
    NotAFace,
    Unsure,
    Skip,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum SentLane {
    Queue,
    Audit,
    Grid,
    Review,
}

/// A judgement as it is stored.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Label")]
struct Stored {
    #[schemars(extend("format" = "uuid"))]
    label_id: String,
    #[schemars(with = "FaceId")]
    face_id: String,
    expression: Option<String>,
    verdict: Option<String>,
    annotator: String,
    lane: String,
    round: Option<u32>,
    suggestion: Option<String>,
    seconds: Option<f32>,
    note: Option<String>,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct Labels {
    labels: Vec<Stored>,
}

/// `POST /api/labels`.
pub(super) fn describe_submit() -> Operation {
    let summary = "Judgements, one or a list of them, all in one commit or none; acknowledged after it.";
    let key = "The same key with the same body is answered as the first time, after a restart too; with another body \
               it is refused (`reused_key`).";
    let form = json!({ "type": "string", "maxLength": KEY_CHARS, "pattern": KEY_PATTERN });
    Operation::new("label", summary)
        .role(Role::Annotator)
        .header("Idempotency-Key", key, form)
        .takes_shaped("application/json", one_or_several)
        .answers::<Labels>(201, "Stored, in the order in which they were sent.")
        .bearing("Idempotency-Replayed", "`true` where the request came before.")
        .problem(422, "Nothing of it was stored.")
}

fn one_or_several(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<Sent>();
    json_schema!({ "oneOf": [one, { "type": "array", "items": one, "minItems": 1, "maxItems": MOST }] })
}

/// Takes judgements in; acknowledged after the commit.
pub(super) async fn submit(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let begun = Instant::now();
    let request = request_key(&headers, &caller, &body)?;
    let sent: Vec<Sent> = match body.trim_ascii_start().first() {
        Some(b'[') => body::json(&headers, &body)?,
        _ => vec![body::json(&headers, &body)?],
    };
    if !(1..=MOST).contains(&sent.len()) {
        let detail = format!("{} judgements; valid: 1 to {MOST} in one request.", sent.len());
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "too_many", detail));
    }
    check_faces(&api, &sent).await?;
    let judgements = sent.into_iter().map(|sent| judgement(&api, &caller, sent)).collect::<Result<Vec<_>, _>>()?;
    to_the_end(async move {
        let submission = match &request {
            Some(request) => api.judge.submit_once(judgements, request).await?,
            None => api.judge.submit_all(judgements).await?,
        };
        api.parts.metrics.acknowledged(begun.elapsed());
        Ok(answer(&api, submission))
    })
    .await
}

fn request_key(headers: &HeaderMap, caller: &Caller, body: &Bytes) -> Result<Option<RequestKey>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let name = caller.name().unwrap_or_default();
    Ok(Some(RequestKey::new(key.to_str().unwrap_or_default(), &[name.as_bytes(), body])?))
}

/// Every face must be one of the corpus: a label of another would be in no view, and lost on its sender.
async fn check_faces(api: &Api, sent: &[Sent]) -> Result<(), Problem> {
    let mut ids: Vec<&str> = sent.iter().map(|sent| sent.face_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let faces = api.pictures.missing(&ids).await?;
    if faces.is_empty() { Ok(()) } else { Err(Error::UnknownFaces { faces }.into()) }
}

fn judgement(api: &Api, caller: &Caller, sent: Sent) -> Result<Judgement, Problem> {
    let annotator = caller.annotator(sent.annotator.as_deref())?;
    let answer = match (sent.expression, sent.verdict) {
        (Some(class), None) => Answer::Expression(class),
        (None, Some(Verdict::NotAFace)) => Answer::NotAFace,
        (None, Some(Verdict::Unsure)) => Answer::Unsure,
        (None, Some(Verdict::Skip)) => Answer::Skip,
        _ => {
            let problem = "give either an expression or a verdict (not_a_face, unsure, skip)".to_owned();
            return Err(Error::InvalidJudgement { field: "expression", problem }.into());
        }
    };
    let handed = api.desk.handed(&annotator, &sent.face_id);
    let lane = match sent.lane {
        Some(SentLane::Queue) => Lane::Queue,
        Some(SentLane::Audit) => Lane::Audit,
        Some(SentLane::Grid) => Lane::Grid,
        Some(SentLane::Review) => Lane::Review,
        None => handed.as_ref().map_or(Lane::Queue, Task::lane),
    };
    let classes = api.parts.corpus.classes();
    if let Some(suggestion) = sent.suggestion.as_ref().filter(|suggestion| !classes.contains(suggestion)) {
        let problem = format!("no class {suggestion}; one of {}", classes.join(", "));
        return Err(Error::InvalidJudgement { field: "suggestion", problem }.into());
    }
    let mut judgement = Judgement::new(sent.face_id, answer, annotator, Origin::Human, lane);
    judgement.round = sent.round.or(handed.as_ref().and_then(|task| task.round));
    // A blind lane shows no suggestion, so none was taken.
    let is_blind = lane == Lane::Audit || handed.as_ref().is_some_and(|task| task.lane().is_blind());
    let shown = sent.suggestion.or(handed.and_then(|task| task.expression));
    judgement.suggestion = shown.filter(|_| !is_blind);
    judgement.seconds = sent.seconds;
    judgement.note = sent.note.filter(|note| !note.is_empty());
    Ok(judgement)
}

fn answer(api: &Api, submission: Submission) -> Response {
    let labels = submission.rows.iter().map(stored).collect();
    let is_new = submission.version.is_some();
    if let Some(version) = submission.version {
        api.desk.judged(&submission.rows, version);
        for row in &submission.rows {
            api.parts.metrics.labelled(&row.lane);
        }
        // Without names, which not everybody may be told.
        let told = |row: &Label| json!({ "face_id": row.face_id, "label_id": row.label_id });
        let labels: Vec<Value> = submission.rows.iter().map(told).collect();
        api.parts.events.tell("labelled", &json!({ "labels": labels }));
    }
    let mut response = (StatusCode::CREATED, Json(Labels { labels })).into_response();
    if !is_new {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn stored(label: &Label) -> Stored {
    Stored {
        label_id: label.label_id.clone(),
        face_id: label.face_id.clone(),
        expression: label.expression.clone(),
        verdict: label.verdict.clone(),
        annotator: label.annotator.clone(),
        lane: label.lane.clone(),
        round: label.round,
        suggestion: label.suggestion.clone(),
        seconds: label.seconds,
        note: label.note.clone(),
        created_at: time::text(label.created_at),
    }
}
