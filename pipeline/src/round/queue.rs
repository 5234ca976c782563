//! The top of a round's queue: subset II in the curriculum's order, with the audit sample of subset I mixed in.
//!
//! The audit is what makes the pseudo-labels' precision known: faces of subset I drawn by seed alone and shown without
//! the model's suggestion. So the draw is not part of the editable SQL.

use marginalia_store::tables::queue_entries::QueueEntry;

use crate::curriculum::QueueRow;

/// Interleaves the audit sample evenly: one audit face after every `1 / share` of the queue.
pub fn mix(round: u32, queue: Vec<QueueRow>, audit: Vec<String>, share: f64, top: usize) -> Vec<QueueEntry> {
    let mut entries: Vec<(String, &'static str, String)> = Vec::with_capacity(queue.len() + audit.len());
    let mut audit = audit.into_iter();
    let mut due = 0.0;
    for row in queue {
        due += share;
        if due >= 1.0
            && let Some(face_id) = audit.next()
        {
            due -= 1.0;
            entries.push(audit_entry(face_id));
        }
        entries.push((row.face_id, "queue", row.reason));
    }
    entries.extend(audit.map(audit_entry));
    let entry = |(i, (face_id, lane, reason)): (usize, (String, &'static str, String))| QueueEntry {
        round,
        face_id,
        rank: u32::try_from(i + 1).unwrap_or(u32::MAX),
        lane: lane.to_owned(),
        reason,
    };
    entries.into_iter().take(top).enumerate().map(entry).collect()
}

/// How many faces of subset I are audited.
pub fn audit_size(share: f64, top: usize, subset_one: u64) -> u64 {
    ((share * top as f64).round() as u64).min(subset_one)
}

fn audit_entry(face_id: String) -> (String, &'static str, String) {
    (face_id, "audit", "random check of the pseudo-labels".to_owned())
}
