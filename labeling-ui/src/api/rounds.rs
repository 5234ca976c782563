//! `/api/rounds`: the finished rounds, and one with its epochs and margins: rows of the views of those names; a round to
//! be started or stopped, where this process trains.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde_json::{Map, Value, json};

use super::Api;
use super::caller::Caller;
use super::problem::Problem;
use crate::access::Role;
use crate::reading::rows;
use crate::rounds::Rounds;

type Row = Map<String, Value>;

/// Columns of `round_summary`, its time as text.
const SUMMARY: &str = "round, method, accepted, labelled, unlabelled, pool, scored, subset_one, subset_two, subset_one_share, \
                       validation_accuracy, validation_macro_f1, mean_margin, seconds, \
                       cast(finished_at as varchar) as finished_at, gate";

/// Every finished round, in order.
pub(super) async fn list(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let session = api.reading.newest().await?;
    let rounds: Vec<Row> = rows(&session, &format!("select {SUMMARY} from round_summary order by round")).await?;
    let unfinished = api.parts.corpus.planned_round(session.snapshot().rounds()).await?;
    Ok(Json(json!({ "current": session.snapshot().current_round(), "unfinished": unfinished, "rounds": rounds })))
}

/// One round.
pub(super) async fn one(State(api): State<Api>, Path(round): Path<u32>) -> Result<Json<Value>, Problem> {
    let session = api.reading.newest().await?;
    session.snapshot().round(round)?;
    let summary: Vec<Row> =
        rows(&session, &format!("select {SUMMARY} from round_summary where round = {round}")).await?;
    let epochs = format!(
        "select epoch, steps, loss, loss_supervised, loss_unlabelled, loss_contrastive, learning_rate, acceptance_rate, \
         subset_one, subset_two, labelled_accuracy, validation_accuracy, validation_macro_f1, seconds \
         from epochs where round = {round} order by epoch"
    );
    let margins = format!(
        "select epoch, t, expression, mean_confidence, margin, right_count from margins where round = {round} \
         order by epoch, expression"
    );
    let (epochs, margins): (Vec<Row>, Vec<Row>) = (rows(&session, &epochs).await?, rows(&session, &margins).await?);
    Ok(Json(json!({ "round": summary.into_iter().next(), "epochs": epochs, "margins": margins })))
}

/// Asks for a round now. The answer comes before it begins: the events tell how it goes.
pub(super) async fn start(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.require(Role::Admin)?;
    if trainer(&api)?.start() {
        api.parts.corpus.note_change(&caller.actor(), "round_asked", None, None).await?;
        return Ok((StatusCode::ACCEPTED, Json(json!({ "asked": true }))));
    }
    let detail = "A round is under way. Wait for its end, or stop it with DELETE /api/rounds/current.";
    Err(Problem::new(StatusCode::CONFLICT, "round_under_way", detail))
}

/// Stops the round under way and gives it up: nothing of it shows.
pub(super) async fn stop(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.require(Role::Admin)?;
    if trainer(&api)?.stop() {
        api.parts.corpus.note_change(&caller.actor(), "round_given_up", None, None).await?;
        return Ok((StatusCode::ACCEPTED, Json(json!({ "asked": true }))));
    }
    Err(Problem::new(StatusCode::CONFLICT, "no_round", "No round is under way in this process."))
}

fn trainer(api: &Api) -> Result<&dyn Rounds, Problem> {
    let detail =
        "This process serves and does not train. `marginalia run` does both; `marginalia train` trains beside it.";
    api.parts.rounds.as_deref().ok_or_else(|| Problem::new(StatusCode::CONFLICT, "no_trainer", detail))
}
