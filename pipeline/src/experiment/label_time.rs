//! How long people take for a label.
//!
//! In: a corpus. Out: the median of the seconds that its people's labels took, where whoever showed the faces measured them;
//! what a simulation's labels would cost people is said by it alone.

use serde::Deserialize;

use crate::console::Opened;
use crate::error::Result;

/// Seconds that a label takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelTime {
    /// Their median.
    pub median: f64,
    /// Labels that it is of.
    pub labels: u64,
}

#[derive(Deserialize)]
struct Row {
    median: Option<f64>,
    labels: u64,
}

/// What a corpus has measured; none where it has not.
///
/// # Errors
/// The store's.
pub async fn label_time(opened: &Opened) -> Result<Option<LabelTime>> {
    let sql = "select cast(median(cast(seconds as double)) as double) as median, count(seconds) as labels \
               from current_labels where origin = 'human' and seconds is not null";
    let rows: Vec<Row> = opened.session().await?.query_trusted(sql, Vec::new()).await?.rows().await?;
    let row = rows.into_iter().next();
    Ok(row.and_then(|Row { median, labels }| Some(LabelTime { median: median?, labels })))
}
