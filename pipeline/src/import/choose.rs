//! Whose labels an import lets be known.
//!
//! In: the spool of what was read, the faces held out and the label budget. Out: sets of face ids, drawn by seed and face alone,
//! so that the order of arrival does not matter.

use std::collections::HashSet;

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::UInt64Type;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use marginalia_datasets::{Classes, Draw, LabelBudget};

use crate::error::{Error, Result};

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

/// Draws the labelled faces.
///
/// `evaluation` are faces that stand in an evaluation split already: they never train, so no label is spent on them.
pub async fn choose(
    seen: &SessionContext,
    classes: &Classes,
    budget: LabelBudget,
    held_out: HashSet<String>,
    seed: u64,
    evaluation: &HashSet<String>,
) -> Result<Choice> {
    let mut choice = Choice { held_out, ..Choice::default() };
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
    // Files with nothing but an evaluation split have no label to spend; their own are all known.
    if choice.available.iter().all(|available| *available == 0)
        && count(seen, "select count(*) from seen where split in ('validation', 'test')").await? > 0
    {
        choice.labelled = Some(HashSet::new());
        return Ok(choice);
    }
    let wanted = budget.per_class(classes, &choice.available)?;
    let drawn = draws.into_iter().zip(wanted).flat_map(|(draw, wanted)| draw.into_faces().into_iter().take(wanted));
    choice.labelled = Some(drawn.collect());
    Ok(choice)
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

/// A column as text.
pub fn text_column(batch: &datafusion::arrow::array::RecordBatch, i: usize) -> Result<Vec<String>> {
    let text = datafusion::arrow::compute::cast(batch.column(i), &datafusion::arrow::datatypes::DataType::Utf8)?;
    let text = text.as_string_opt::<i32>().ok_or_else(|| Error::Internal { what: "a text column is none".into() })?;
    Ok((0..text.len()).map(|i| if text.is_valid(i) { text.value(i).to_owned() } else { String::new() }).collect())
}
