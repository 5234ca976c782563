//! The door of the pipeline: a batch of files or records in, rows of `faces` and reasons of refusal out.
//!
//! Decoding and hashing are the work of ingest, so a batch is spread over all cores; batches are bounded in faces and in
//! bytes, so memory is too.

use marginalia_datasets::{Limits, Reason, Record, admit};
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::rejects::Reject;
use marginalia_store::{Corpus, Timestamp};
use rayon::prelude::*;

use crate::error::Result;

/// Faces in a batch.
pub const BATCH_FACES: usize = 4096;

/// Bytes after which a batch is full, however few faces it has.
pub const BATCH_BYTES: u64 = 8 << 20;

/// A record whose face was let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The row for `faces`.
    pub face: Face,
    /// The record it came as, its image moved into `face`.
    pub record: Record,
}

/// A record that was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The record without its image.
    pub record: Record,
    /// Why.
    pub reason: Reason,
}

impl Refused {
    /// The row for `rejects`.
    pub fn row(&self, now: Timestamp) -> Reject {
        reject_row(&self.record.source, &self.reason, &self.record.dataset, now)
    }
}

/// The row for `rejects` of anything refused.
pub fn reject_row(source: &str, reason: &Reason, dataset: &str, now: Timestamp) -> Reject {
    Reject {
        source: source.to_owned(),
        code: reason.code().to_owned(),
        reason: reason.to_string(),
        dataset: dataset.to_owned(),
        rejected_at: now,
    }
}

/// Looks at every record of a batch, on all cores, keeping the order.
pub fn admit_batch(records: Vec<Record>, limits: &Limits, now: Timestamp) -> (Vec<Admitted>, Vec<Refused>) {
    let looked_at: Vec<std::result::Result<Admitted, Box<Refused>>> =
        records.into_par_iter().with_min_len(16).map(|record| admit_record(record, limits, now)).collect();
    let mut admitted = Vec::with_capacity(looked_at.len());
    let mut refused = Vec::new();
    for outcome in looked_at {
        match outcome {
            Ok(face) => admitted.push(face),
            Err(reject) => refused.push(*reject),
        }
    }
    (admitted, refused)
}

/// Refuses faces that were forgotten.
pub async fn refuse_forgotten(corpus: &Corpus, admitted: &mut Vec<Admitted>, refused: &mut Vec<Refused>) -> Result<()> {
    let ids: Vec<&str> = admitted.iter().map(|admitted| admitted.face.face_id.as_str()).collect();
    let forgotten = corpus.forgotten(&ids).await?;
    if !forgotten.contains(&true) {
        return Ok(());
    }
    for (Admitted { face, record }, forgotten) in std::mem::take(admitted).into_iter().zip(forgotten) {
        match forgotten {
            true => refused.push(Refused { record, reason: Reason::Forgotten }),
            false => admitted.push(Admitted { face, record }),
        }
    }
    Ok(())
}

/// Looks at one record.
pub fn admit_record(
    mut record: Record,
    limits: &Limits,
    now: Timestamp,
) -> std::result::Result<Admitted, Box<Refused>> {
    match admit(std::mem::take(&mut record.image), limits) {
        Err(reason) => Err(Box::new(Refused { record, reason })),
        Ok(face) => Ok(Admitted {
            face: Face {
                face_id: face.face_id,
                image: face.image,
                format: face.format.as_str().to_owned(),
                width: face.width,
                height: face.height,
                stream: record.dataset.clone(),
                subject: record.subject.clone(),
                perceptual_hash: face.perceptual_hash,
                captured_at: record.mtime.map(Timestamp::from),
                ingested_at: now,
            },
            record,
        }),
    }
}
