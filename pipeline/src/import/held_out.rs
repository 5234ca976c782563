//! Which faces of an import are held out for evaluation.
//!
//! In: the spool of what was read and the share wished for. Out: a set of face ids, drawn by seed and face alone, so that the
//! order of arrival does not matter. Equal and near-equal faces go to one side together, and where that is asked for all faces
//! of a person: whoever was trained on is no test.

use std::collections::{HashMap, HashSet};

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use marginalia_datasets::{HoldOut, groups_sharing, near_groups};

use super::choose::text_column;
use crate::error::{Error, Result};

/// Perceptual hashes that differ in at most this many bits of 64 count as one picture.
const NEAR_BITS: u32 = 3;

/// Faces whose group is held out.
///
/// # Errors
/// If persons are asked for and the data set names none.
pub async fn held_out(
    seen: &SessionContext,
    hold_out: HoldOut,
    by_subject: bool,
    seed: u64,
) -> Result<HashSet<String>> {
    let (mut ids, mut hashes, mut subjects) = (Vec::new(), Vec::new(), Vec::new());
    // Ordered, so that a group's first member, which decides for all, does not depend on the order of arrival.
    let sql = "select face_id, min(perceptual_hash) as hash, coalesce(min(subject), '') as subject from seen \
               where face_id is not null \
               group by face_id having count(*) filter (where split in ('validation', 'test')) = 0 order by face_id";
    let mut batches = seen.sql(sql).await?.execute_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        ids.extend(text_column(&batch, 0)?);
        hashes.extend(batch.column(1).as_primitive::<UInt64Type>().values().iter().copied());
        subjects.extend(text_column(&batch, 2)?);
    }
    let mut groups = near_groups(&hashes, NEAR_BITS);
    if by_subject {
        let subjects: Vec<Option<&str>> =
            subjects.iter().map(|name| Some(name.as_str()).filter(|name| !name.is_empty())).collect();
        if !ids.is_empty() && subjects.iter().all(Option::is_none) {
            return Err(Error::NoSubjects);
        }
        groups = groups_sharing(&groups, &subjects);
    }
    let mut decided: HashMap<u32, bool> = HashMap::new();
    let mut held = HashSet::new();
    for (id, group) in ids.iter().zip(&groups) {
        let first = &ids[*group as usize];
        if *decided.entry(*group).or_insert_with(|| hold_out.holds(seed, first)) {
            held.insert(id.clone());
        }
    }
    Ok(held)
}
