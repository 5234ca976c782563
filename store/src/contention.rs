//! Commits that meet: several writers want the next version of one table, and one gets it.
//!
//! In: a commit that found its version taken. Out: when to try again, whether what the others added matters to it, and
//! how often that happened: the cadence of commits follows it (`cadence.rs`).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::DataType;
use futures::TryStreamExt;
use lance::Dataset;
use rand::Rng;

use crate::error::{Error, Result};
use crate::table::{TableId, column};

/// How long a commit that meets other writers' goes on trying. Meeting them is normal, and somebody always gets through.
const CONTENDS: Duration = Duration::from_secs(120);

/// A commit that meets other writers'.
pub(crate) struct Contention<'a> {
    since: Instant,
    attempt: u32,
    conflicts: &'a AtomicU64,
}

impl<'a> Contention<'a> {
    /// Adds to `conflicts` how often it meets them.
    pub fn start(conflicts: &'a AtomicU64) -> Self {
        Self { since: Instant::now(), attempt: 0, conflicts }
    }

    pub fn goes_on(&self) -> bool {
        self.since.elapsed() < CONTENDS
    }

    /// A random time, longer at each attempt: writers that met should not meet again.
    pub async fn wait(&mut self) {
        self.attempt += 1;
        self.conflicts.fetch_add(1, Ordering::Relaxed);
        let wait = rand::rng().random_range(1..=10 * u64::from(self.attempt.min(50)));
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

/// Values of a key column.
pub(crate) fn keys(batches: &[RecordBatch], table: TableId, key: &str) -> Result<HashSet<String>> {
    let mut keys = HashSet::new();
    for batch in batches {
        let text = arrow::compute::cast(column(batch, table, key)?, &DataType::Utf8)?;
        keys.extend(text.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(keys)
}

/// Whether a fragment that was not seen holds one of the keys.
pub(crate) async fn added_since(
    latest: &Arc<Dataset>,
    seen: &HashSet<u64>,
    table: TableId,
    key: &str,
    wanted: &HashSet<String>,
) -> Result<bool> {
    let fresh: Vec<_> = latest.iter_fragments().filter(|fragment| !seen.contains(&fragment.id)).cloned().collect();
    if fresh.is_empty() {
        return Ok(false);
    }
    let mut scan = latest.scan();
    scan.with_fragments(fresh).project(&[key]).map_err(Error::table(table))?;
    let batches: Vec<RecordBatch> =
        scan.try_into_stream().await.map_err(Error::table(table))?.try_collect().await.map_err(Error::table(table))?;
    Ok(!keys(&batches, table, key)?.is_disjoint(wanted))
}

/// Whether trying again on a newer version helps.
pub(crate) fn is_conflict(error: &lance::Error) -> bool {
    matches!(
        error,
        lance::Error::CommitConflict { .. }
            | lance::Error::RetryableCommitConflict { .. }
            | lance::Error::TooMuchWriteContention { .. }
    )
}
