//! The top of a round's queue: subset II in the curriculum's order, with the audit sample of subset I mixed in.
//!
//! The audit is what makes the pseudo-labels' precision known: faces of subset I drawn by seed alone and shown without
//! the model's suggestion. So the draw is not part of the editable SQL.

use marginalia_store::tables::queue_entries::QueueEntry;
use serde::Deserialize;

use crate::curriculum::QueueRow;

/// A pseudo-label that people check.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Audited {
    /// The face.
    pub face_id: String,
    /// Its pseudo-label.
    pub expression: String,
}

/// Interleaves the audit sample evenly: one audit face after every `1 / share` of the queue.
pub fn mix(round: u32, queue: Vec<QueueRow>, audit: Vec<Audited>, share: f64, top: usize) -> Vec<QueueEntry> {
    let mut entries = Vec::with_capacity(queue.len() + audit.len());
    let mut audit = audit.into_iter().map(|audited| entry(round, audited.face_id, "audit", Some(audited.expression)));
    let mut due = 0.0;
    for row in queue {
        due += share;
        if due >= 1.0
            && let Some(entry) = audit.next()
        {
            due -= 1.0;
            entries.push(entry);
        }
        entries.push(QueueEntry { reason: row.reason, ..entry(round, row.face_id, "queue", None) });
    }
    entries.extend(audit);
    entries.truncate(top);
    for (rank, entry) in (1..).zip(&mut entries) {
        entry.rank = rank;
    }
    entries
}

/// How many faces of subset I are audited.
pub fn audit_size(share: f64, top: usize, subset_one: u64) -> u64 {
    ((share * top as f64).round() as u64).min(subset_one)
}

fn entry(round: u32, face_id: String, lane: &str, expression: Option<String>) -> QueueEntry {
    let reason = "random check of the pseudo-labels".to_owned();
    QueueEntry { round, face_id, rank: 0, lane: lane.to_owned(), expression, reason }
}
