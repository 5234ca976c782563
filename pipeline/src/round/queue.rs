//! The top of a round's queue: subset II in the curriculum's order, with two samples mixed in.
//!
//! The audit is what makes the pseudo-labels' precision known: faces of subset I drawn by seed alone and shown without
//! the model's suggestion. Second opinions go to labels that are more likely wrong than right, where one more judgement is
//! worth more than the next face's first; they are shown without a suggestion too. Both have a share of the queue that is a
//! setting, and neither is part of the editable SQL.

use marginalia_store::Session;
use marginalia_store::tables::queue_entries::QueueEntry;
use serde::Deserialize;

use crate::config::RoundConfig;
use crate::curriculum::QueueRow;
use crate::error::Result;

/// Faces that are mixed into the queue.
struct Sample {
    lane: &'static str,
    reason: &'static str,
    /// Faces of this sample for each face of the curriculum's.
    share: f64,
    faces: Vec<Sampled>,
}

/// A face whose class people check.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Sampled {
    face_id: String,
    /// Its pseudo-label, or its label.
    expression: String,
}

/// The top of the queue, in its order: the curriculum's rows and what is mixed into them.
pub(super) async fn top(
    session: &Session,
    round: u32,
    seed: u64,
    settings: &RoundConfig,
    rows: Vec<QueueRow>,
) -> Result<Vec<QueueEntry>> {
    let draw = seed ^ u64::from(round);
    let samples = vec![
        Sample {
            lane: "audit",
            reason: "random check of the pseudo-labels",
            share: settings.audit_share,
            faces: sampled(session, settings.audit_share, settings.queue_top, |most| {
                format!(
                    "select face_id, expression from candidates where subset = 'I' \
                     order by sha256(concat('audit', {draw}, face_id)) limit {most}"
                )
            })
            .await?,
        },
        Sample {
            lane: "review",
            reason: "second opinion: its label is in doubt",
            share: settings.relabel_share,
            faces: sampled(session, settings.relabel_share, settings.queue_top, |most| {
                format!(
                    "select r.face_id, r.expression from relabel_candidates r \
                     left anti join face_splits s on r.face_id = s.face_id order by r.rank limit {most}"
                )
            })
            .await?,
        },
    ];
    Ok(mixed(round, rows, samples, settings.queue_top))
}

/// The faces of a sample, at most its share of the top.
async fn sampled(
    session: &Session,
    share: f64,
    top: usize,
    question: impl Fn(usize) -> String,
) -> Result<Vec<Sampled>> {
    match (share * top as f64).round() as usize {
        0 => Ok(Vec::new()),
        most => Ok(session.query_trusted(&question(most), Vec::new()).await?.rows().await?),
    }
}

/// Interleaves the samples evenly: a face of each after every `1 / share` of the queue, what is left at the end.
fn mixed(round: u32, rows: Vec<QueueRow>, samples: Vec<Sample>, top: usize) -> Vec<QueueEntry> {
    let entry = |face_id, lane: &str, expression, reason| QueueEntry {
        round,
        face_id,
        rank: 0,
        lane: lane.to_owned(),
        expression,
        reason,
    };
    let mut guests: Vec<_> = samples
        .into_iter()
        .map(|sample| {
            let faces = sample.faces.into_iter();
            let entries = faces
                .map(move |face| entry(face.face_id, sample.lane, Some(face.expression), sample.reason.to_owned()));
            (sample.share, 0.0, entries)
        })
        .collect();
    let mut entries = Vec::new();
    for row in rows {
        for (share, due, guests) in &mut guests {
            *due += *share;
            if *due >= 1.0
                && let Some(guest) = guests.next()
            {
                *due -= 1.0;
                entries.push(guest);
            }
        }
        entries.push(entry(row.face_id, "queue", None, row.reason));
    }
    entries.extend(guests.into_iter().flat_map(|(_, _, guests)| guests));
    entries.truncate(top);
    for (rank, entry) in (1..).zip(&mut entries) {
        entry.rank = rank;
    }
    entries
}
