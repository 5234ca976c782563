//! `/api/rounds`: the finished rounds, and one with its epochs and margins: rows of the views of those names; a round
//! to be started or stopped, where this process trains.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Api;
use super::caller::Caller;
use super::operation::Operation;
use super::paging::{Part, no_place};
use super::problem::Problem;
use crate::access::Role;
use crate::reading::rows;
use crate::rounds::Rounds;

/// A row of a view, with those of its columns that are not null.
type Row = Map<String, Value>;

#[derive(Deserialize, JsonSchema)]
pub(super) struct OfRound {
    #[schemars(range(min = 1))]
    round: u32,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct All {
    current: Option<u32>,
    /// One that was begun and not finished.
    unfinished: Option<u32>,
    /// Whether this process trains it now. Where another process does, or none, it is false.
    running: bool,
    /// Whether this process trains at all: `run` does, `serve` does not.
    trains: bool,
    /// Rows of `round_summary`.
    rounds: Vec<Row>,
    /// For `after`, where there are more.
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct One {
    /// Its row of `round_summary`.
    round: Option<Row>,
    /// Its rows of `epochs`.
    epochs: Vec<Row>,
    /// Its rows of `margins`.
    margins: Vec<Row>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
pub(super) struct Asked {
    asked: bool,
}

/// `GET /api/rounds`.
pub(super) fn describe_list() -> Operation {
    Operation::new("rounds", "Every finished round: the rows of the view `round_summary`.")
        .query::<Part>()
        .answers::<All>(200, "The rounds in order, the current one, and one that was begun and not finished.")
}

/// `GET /api/rounds/{round}`.
pub(super) fn describe_one() -> Operation {
    Operation::new("round", "One round with its epochs and margins.")
        .path::<OfRound>()
        .answers::<One>(200, "The round.")
        .problem(404, "No such round.")
}

/// `POST /api/rounds`.
pub(super) fn describe_start() -> Operation {
    Operation::new("startRound", "Asks for a round now, where this process trains. The events tell how it goes.")
        .role(Role::Admin)
        .answers::<Asked>(202, "It was asked for and begins in a moment.")
        .problem(409, "This process does not train, or a round is under way.")
}

/// `DELETE /api/rounds/current`.
pub(super) fn describe_stop() -> Operation {
    Operation::new("stopRound", "Stops the round under way and gives it up: nothing of it shows.")
        .role(Role::Admin)
        .answers::<Asked>(202, "It was asked to stop.")
        .problem(409, "This process does not train, or no round is under way.")
}

/// Columns of `round_summary`, its time as text.
const SUMMARY: &str = "round, method, accepted, labelled, unlabelled, pool, scored, subset_one, subset_two, \
                       subset_one_share, validation_accuracy, validation_macro_f1, mean_margin, seconds, \
                       cast(finished_at as varchar) as finished_at, gate";

/// The finished rounds, in order.
pub(super) async fn list(State(api): State<Api>, Query(part): Query<Part>) -> Result<Json<All>, Problem> {
    let limit = part.read()?;
    let after: u32 = match &part.after {
        Some(after) => after.parse().map_err(|_| no_place(after))?,
        None => 0,
    };
    let session = api.reading.newest().await?;
    let sql = format!("select {SUMMARY} from round_summary where round > {after} order by round limit {limit}");
    let mut rounds: Vec<Row> = rows(&session, &sql).await?;
    let next = part.cut(&mut rounds, |row| row.get("round").map(Value::to_string).unwrap_or_default());
    let unfinished = api.parts.corpus.planned_round(session.snapshot().rounds()).await?;
    let trainer = api.parts.rounds.as_ref();
    let (running, trains) = (trainer.is_some_and(|trainer| trainer.is_running()), trainer.is_some());
    Ok(Json(All { current: session.snapshot().current_round(), unfinished, running, trains, rounds, next }))
}

/// One round.
pub(super) async fn one(State(api): State<Api>, Path(OfRound { round }): Path<OfRound>) -> Result<Json<One>, Problem> {
    let session = api.reading.newest().await?;
    session.snapshot().round(round)?;
    let summary: Vec<Row> =
        rows(&session, &format!("select {SUMMARY} from round_summary where round = {round}")).await?;
    let epochs = format!(
        "select epoch, steps, loss, loss_supervised, loss_unlabelled, loss_contrastive, learning_rate, \
         acceptance_rate, subset_one, subset_two, labelled_accuracy, validation_accuracy, validation_macro_f1, validation_nll, \
         validation_brier, validation_ece, validation_ece_equal_mass, temperature, seconds \
         from epochs where round = {round} order by epoch"
    );
    let margins = format!(
        "select epoch, t, expression, mean_confidence, margin, right_count from margins where round = {round} \
         order by epoch, expression"
    );
    let (epochs, margins): (Vec<Row>, Vec<Row>) = (rows(&session, &epochs).await?, rows(&session, &margins).await?);
    Ok(Json(One { round: summary.into_iter().next(), epochs, margins }))
}

/// Asks for a round now. The answer comes before it begins: the events tell how it goes.
pub(super) async fn start(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, Json<Asked>), Problem> {
    let trainer = trainer(&api)?;
    if !trainer.is_running() {
        // Noted first: what nobody may know of does not begin.
        api.parts.corpus.note_change(&caller.actor(), "round_asked", None, None).await?;
        if trainer.start() {
            return Ok((StatusCode::ACCEPTED, Json(Asked { asked: true })));
        }
    }
    let detail = "A round is under way. Wait for its end, or stop it with DELETE /api/rounds/current.";
    Err(Problem::new(StatusCode::CONFLICT, "round_under_way", detail))
}

/// Stops the round under way and gives it up: nothing of it shows.
pub(super) async fn stop(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
) -> Result<(StatusCode, Json<Asked>), Problem> {
    let trainer = trainer(&api)?;
    if trainer.is_running() {
        api.parts.corpus.note_change(&caller.actor(), "round_given_up", None, None).await?;
        if trainer.stop() {
            return Ok((StatusCode::ACCEPTED, Json(Asked { asked: true })));
        }
    }
    Err(Problem::new(StatusCode::CONFLICT, "no_round", "No round is under way in this process."))
}

fn trainer(api: &Api) -> Result<&dyn Rounds, Problem> {
    let detail =
        "This process serves and does not train. `marginalia run` does both; `marginalia train` trains beside it.";
    api.parts.rounds.as_deref().ok_or_else(|| Problem::new(StatusCode::CONFLICT, "no_trainer", detail))
}
