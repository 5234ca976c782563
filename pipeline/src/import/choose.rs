//! Which faces of an import are held out, and whose labels may be known.
//!
//! In: the spool of what was read and the label budget. Out: sets of face ids, drawn by seed and face alone, so that the
//! order of arrival does not matter. Groups of equal and near-equal faces go to one split together.

use std::collections::{HashMap, HashSet};

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use marginalia_datasets::{Classes, Draw, HoldOut, LabelBudget, near_groups};

use crate::error::{Error, Result};

/// Perceptual hashes that differ in at most this many bits of 64 count as one picture.
const NEAR_BITS: u32 = 3;

/// The choice.
#[derive(Debug, Default)]
pub struct Choice {
    /// Faces moved into the hold-out's split.
    pub held_out: HashSet<String>,
    /// Training faces whose label may be known; `None`: all of them.
    pub labelled: Option<HashSet<String>>,
    /// Faces of the training split with one class, by class: what the budget was drawn from.
    pub available: Vec<usize>,
}

/// Draws the hold-out and the labelled faces.
///
/// `evaluation` are faces that stand in an evaluation split already: they never train, so no label is spent on them.
pub async fn choose(
    seen: &SessionContext,
    classes: &Classes,
    budget: LabelBudget,
    hold_out: Option<HoldOut>,
    seed: u64,
    evaluation: &HashSet<String>,
) -> Result<Choice> {
    let mut choice = Choice::default();
    if let Some(hold_out) = hold_out {
        choice.held_out = held_out(seen, hold_out, seed).await?;
    }
    let mut draws = vec![Draw::new(seed, 0); classes.len()];
    choice.available = vec![0; classes.len()];
    let limits: Vec<usize> = match budget {
        LabelBudget::All => return Ok(choice),
        LabelBudget::PerClass(n) => vec![n; classes.len()],
        LabelBudget::Total(n) | LabelBudget::AdaCm(n) => vec![n; classes.len()],
    };
    for (draw, limit) in draws.iter_mut().zip(&limits) {
        *draw = Draw::new(seed, *limit);
    }
    // A face with two classes is no label; a face in an evaluation split never trains.
    let sql = "select face_id, min(given_class) as class from seen where face_id is not null and given_class is not null \
               group by face_id having count(distinct given_class) = 1 \
               and count(*) filter (where split in ('validation', 'test')) = 0";
    for_each_pair(seen, sql, |face_id, class| {
        if choice.held_out.contains(face_id) || evaluation.contains(face_id) {
            return;
        }
        if let Some(i) = classes.index(class) {
            choice.available[i] += 1;
            draws[i].offer(face_id);
        }
    })
    .await?;
    let wanted = budget.per_class(classes, &choice.available)?;
    let drawn = draws.into_iter().zip(wanted).flat_map(|(draw, wanted)| draw.into_faces().into_iter().take(wanted));
    choice.labelled = Some(drawn.collect());
    Ok(choice)
}

/// Faces whose group of near-equals is held out.
async fn held_out(seen: &SessionContext, hold_out: HoldOut, seed: u64) -> Result<HashSet<String>> {
    let mut ids = Vec::new();
    let mut hashes = Vec::new();
    // Ordered, so that a group's first member, which decides for all, does not depend on the order of arrival.
    let sql = "select face_id, min(perceptual_hash) as hash from seen where face_id is not null \
               group by face_id having count(*) filter (where split in ('validation', 'test')) = 0 order by face_id";
    let mut batches = seen.sql(sql).await?.execute_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        let columns = (text_column(&batch, 0)?, batch.column(1).as_primitive::<UInt64Type>());
        ids.extend(columns.0);
        hashes.extend(columns.1.values().iter().copied());
    }
    let groups = near_groups(&hashes, NEAR_BITS);
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

/// Runs a query of two text columns and hands over every row.
pub async fn for_each_pair(context: &SessionContext, sql: &str, mut take: impl FnMut(&str, &str)) -> Result<()> {
    let mut batches = context.sql(sql).await?.execute_stream().await?;
    while let Some(batch) = batches.try_next().await? {
        let (left, right) = (text_column(&batch, 0)?, text_column(&batch, 1)?);
        for (left, right) in left.iter().zip(&right) {
            take(left, right);
        }
    }
    Ok(())
}

/// One number.
pub async fn count(context: &SessionContext, sql: &str) -> Result<u64> {
    let batches = context.sql(sql).await?.collect().await?;
    let first = batches.first().filter(|batch| batch.num_rows() > 0);
    let column = first.map(|batch| {
        datafusion::arrow::compute::cast(batch.column(0), &datafusion::arrow::datatypes::DataType::UInt64)
    });
    Ok(column.transpose()?.map_or(0, |column| column.as_primitive::<UInt64Type>().value(0)))
}

fn text_column(batch: &datafusion::arrow::array::RecordBatch, i: usize) -> Result<Vec<String>> {
    let text = datafusion::arrow::compute::cast(batch.column(i), &datafusion::arrow::datatypes::DataType::Utf8)?;
    let text = text.as_string_opt::<i32>().ok_or_else(|| Error::Internal { what: "a text column is none".into() })?;
    Ok((0..text.len()).map(|i| if text.is_valid(i) { text.value(i).to_owned() } else { String::new() }).collect())
}
