//! `GET /api/queue`: the next faces for one annotator, theirs until the lease is over.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::caller::{Annotator, Caller};
use super::operation::Operation;
use super::problem::Problem;
use crate::access::Role;
use crate::desk::{self, NothingToDo};
use crate::queue::Task;

/// Faces that one request may ask for.
const MOST: usize = 100;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    #[schemars(with = "Option<Annotator>")]
    annotator: Option<String>,
    #[serde(default = "few")]
    #[schemars(range(min = 1, max = MOST))]
    limit: usize,
}

fn few() -> usize {
    10
}

/// What somebody who asked for faces gets.
#[derive(Serialize, JsonSchema)]
pub(super) struct Served {
    /// The last accepted round.
    round: Option<u32>,
    /// Faces in the queue, those in people's hands included, as they were counted in the last seconds.
    waiting: u64,
    /// Of those looked at, faces that others have.
    with_others: usize,
    /// Seconds after which the faces go to others, unless a heartbeat comes.
    lease_seconds: f64,
    /// The faces, in the order of the queue.
    tasks: Vec<Task>,
    /// Why there are none.
    nothing: Option<Nothing>,
}

/// Why there are no tasks.
#[derive(Serialize, JsonSchema)]
struct Nothing {
    #[serde(flatten)]
    why: NothingToDo,
    /// What happened and what comes next, for people.
    message: String,
}

impl From<desk::Served> for Served {
    fn from(served: desk::Served) -> Self {
        let desk::Served { round, waiting, with_others, lease_seconds, tasks, nothing } = served;
        let nothing = nothing.map(|why| Nothing { message: why.message(), why });
        Self { round, waiting, with_others, lease_seconds, tasks, nothing }
    }
}

/// `GET /api/queue`.
pub(super) fn describe_take() -> Operation {
    let summary = "The top of the view `queue`, without what others have and what this annotator judged before; theirs \
                   until the lease is over.";
    Operation::new("takeFromQueue", summary)
        .role(Role::Annotator)
        .query::<Ask>()
        .answers::<Served>(200, "Faces in order, or why there are none.")
}

/// Hands out the top of the queue, or says why there is nothing.
pub(super) async fn take(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Query(ask): Query<Ask>,
) -> Result<Json<Served>, Problem> {
    let annotator = caller.annotator(ask.annotator.as_deref())?;
    if !(1..=MOST).contains(&ask.limit) {
        let detail = format!("limit is {}; valid: 1 to {MOST}.", ask.limit);
        return Err(Problem::new(StatusCode::BAD_REQUEST, "bad_limit", detail));
    }
    Ok(Json(api.desk.take(&annotator, ask.limit).await?.into()))
}
