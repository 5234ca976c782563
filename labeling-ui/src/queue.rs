//! The queue as an annotator meets it: the view `queue`, from its top.

use marginalia_store::Session;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::face_id::FaceId;
use crate::judgement::Lane;
use crate::reading::{first, rows};

/// A face that waits for a judgement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Place in the queue, from 1.
    pub rank: u64,
    /// The face.
    #[schemars(with = "FaceId")]
    pub face_id: String,
    /// `queue`, `audit` or `review`.
    #[schemars(extend("enum" = [Lane::Queue.as_str(), Lane::Audit.as_str(), Lane::Review.as_str()]))]
    pub lane: String,
    /// Why it stands there.
    pub reason: String,
    /// The model's suggestion; not to be shown in lane `audit`, and none in lane `review`.
    pub expression: Option<String>,
    /// Its confidence.
    pub confidence: Option<f32>,
    /// The margin it did not reach.
    pub margin: Option<f32>,
    /// The round whose teacher scored it.
    pub round: Option<u32>,
}

impl Task {
    /// As an annotator may see it: without anything of the model's where an answer of one's own is wanted.
    pub fn shown(self) -> Self {
        if !self.lane().is_blind() {
            return self;
        }
        Self { expression: None, confidence: None, margin: None, ..self }
    }

    /// Where a judgement of it is made, unless somebody says otherwise.
    pub fn lane(&self) -> Lane {
        [Lane::Audit, Lane::Review].into_iter().find(|lane| lane.as_str() == self.lane).unwrap_or(Lane::Queue)
    }
}

/// One place in the queue, with what decides who may have it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Place {
    /// The face.
    #[serde(flatten)]
    pub task: Task,
    /// Who judged it already, and left it in the queue: by a verdict that is no vote, or because others disagreed.
    #[serde(default)]
    pub judged_by: Vec<String>,
}

/// The first `limit` faces of the queue.
pub async fn queue(session: &Session, limit: usize) -> Result<Vec<Task>> {
    let sql = format!(
        "select rank, face_id, lane, reason, expression, confidence, margin, round from queue \
         order by rank limit {limit}"
    );
    rows(session, &sql).await
}

/// The first `limit` places of the queue.
pub(crate) async fn places(session: &Session, limit: usize) -> Result<Vec<Place>> {
    let sql = format!(
        "select q.rank, q.face_id, q.lane, q.reason, q.expression, q.confidence, q.margin, q.round, j.judged_by \
         from (select * from queue order by rank limit {limit}) q \
         left join (select face_id, array_agg(annotator) as judged_by from current_labels where origin <> 'import' \
         group by face_id) j on q.face_id = j.face_id \
         order by q.rank"
    );
    rows(session, &sql).await
}

/// How many faces the whole queue holds, without putting them in order.
pub(crate) async fn waiting(session: &Session) -> Result<u64> {
    let round = session.snapshot().current_round().unwrap_or(0);
    let sql = format!(
        "select count(*) + (select count(*) from second_opinions) + (select count(*) from unfinished) as n \
         from unlabelled u left anti join unfinished w on u.face_id = w.face_id \
         left join (select distinct face_id from queue_entries where round = {round}) e on u.face_id = e.face_id \
         where e.face_id is not null or u.subset = 'II' or u.round is null"
    );
    let count: Option<Count> = first(session, &sql).await?;
    Ok(count.map_or(0, |row| row.n))
}

#[derive(Deserialize)]
struct Count {
    n: u64,
}
