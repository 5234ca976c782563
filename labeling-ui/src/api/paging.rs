//! Lists that may be long come in parts.
//!
//! In: how many one wants, and behind which place. Out: so many of the list, and the place to go on from, which is part
//! of the last of them: what comes in or goes meanwhile moves nothing from one part into another.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::Problem;

/// Most in one answer, and as many as come where nobody says.
const MOST: usize = 500;

/// The part of a list that is asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// `next` of the part before; the list begins where it is left out.
    pub after: Option<String>,
    #[serde(default = "most")]
    #[schemars(range(min = 1, max = MOST))]
    limit: usize,
}

fn most() -> usize {
    MOST
}

impl Part {
    /// How many to read: one more than are answered says whether there are more.
    pub fn read(&self) -> Result<usize, Problem> {
        if (1..=MOST).contains(&self.limit) {
            return Ok(self.limit + 1);
        }
        let detail = format!("limit is {}; valid: 1 to {MOST}.", self.limit);
        Err(Problem::new(StatusCode::BAD_REQUEST, "bad_limit", detail))
    }

    /// Cuts what was read to the answer, and says where to go on from where there are more.
    pub fn cut<T>(&self, read: &mut Vec<T>, place: impl FnOnce(&T) -> String) -> Option<String> {
        let has_more = read.len() > self.limit;
        read.truncate(self.limit);
        read.last().filter(|_| has_more).map(place)
    }
}

/// For what is no place of a list.
pub(super) fn no_place(after: &str) -> Problem {
    let detail = format!("after is {after}; it is what an answer of this list said as next.");
    Problem::new(StatusCode::BAD_REQUEST, "bad_after", detail)
}
