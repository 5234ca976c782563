//! The queue as an annotator meets it: the view `queue`, from its top.

use marginalia_store::Session;

use crate::error::Result;

/// A face that waits for a judgement.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Task {
    /// Place in the queue, from 1.
    pub rank: u64,
    /// The face.
    pub face_id: String,
    /// `queue` or `audit`.
    pub lane: String,
    /// Why it stands there.
    pub reason: String,
    /// The model's suggestion; not to be shown in lane `audit`.
    pub expression: Option<String>,
    /// Its confidence.
    pub confidence: Option<f32>,
    /// The margin it did not reach.
    pub margin: Option<f32>,
    /// The round whose teacher scored it.
    pub round: Option<u32>,
}

/// The first `limit` faces of the queue.
pub async fn queue(session: &Session, limit: usize) -> Result<Vec<Task>> {
    let sql = format!(
        "select rank, face_id, lane, reason, expression, confidence, margin, round from queue order by rank limit {limit}"
    );
    Ok(session.query_trusted(&sql, Vec::new()).await?.rows().await?)
}
