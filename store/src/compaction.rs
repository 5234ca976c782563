//! Which fragments are put together.
//!
//! In: a table and the rows that a fragment should have. Out: what Lance is told of it, how many fragments it would take, and
//! the table with fewer of them.

use std::sync::Arc;
use std::time::Duration;

use lance::Dataset;
use lance::dataset::index::DatasetIndexRemapperOptions;
use lance::dataset::optimize::{CompactionOptions, commit_compaction, plan_compaction};

use crate::error::{Error, Result};
use crate::home::Home;
use crate::locks::Lock;
use crate::table::TableId;

/// Rows of a table up to which its writers wait for the commit: what that does to the indices takes less than a second.
const BRIEF: usize = 100_000;

/// How long they wait at most for one of them that takes its time.
const PATIENCE: Duration = Duration::from_millis(100);

/// How fragments become such of so many rows; `every_deletion` writes each anew that a row was deleted from.
pub(crate) fn options(target_rows: usize, every_deletion: bool) -> CompactionOptions {
    let mut options = CompactionOptions {
        target_rows_per_fragment: target_rows,
        max_bytes_per_file: Some(1 << 30),
        num_threads: Some(1),
        batch_size: Some(256),
        io_buffer_size: Some(64 << 20),
        defer_index_remap: false,
        ..CompactionOptions::default()
    };
    if every_deletion {
        options.materialize_deletions_threshold = 0.0;
    }
    options
}

/// How many fragments a compaction would take: those of an index stay apart from those it does not cover yet.
pub(crate) async fn fragments(dataset: &Dataset, table: TableId, options: &CompactionOptions) -> Result<usize> {
    let plan = plan_compaction(dataset, options).await.map_err(Error::table(table))?;
    Ok(plan.tasks.iter().map(|task| task.fragments.len()).sum())
}

/// Puts fragments together. Whoever holds the lock of maintenance may: no sweep takes the new files for a dead writer's.
pub(crate) async fn compact(
    home: &Home,
    mut dataset: Dataset,
    table: TableId,
    options: &CompactionOptions,
) -> Result<Dataset> {
    let mut writing = Lock::writer(home.folder()).await?;
    let plan = plan_compaction(&dataset, options).await.map_err(Error::table(table))?;
    if plan.tasks.is_empty() {
        return Ok(dataset);
    }
    let mut written = Vec::new();
    for task in plan.compaction_tasks() {
        written.push(task.execute(&dataset).await.map_err(Error::table(table))?);
    }
    let rows = dataset.count_rows(None).await.map_err(Error::table(table))?;
    if rows <= BRIEF {
        // Writers that come every few milliseconds would be first again and again, and Lance waits longer each time.
        drop(writing);
        writing = match Lock::before_writers(home.folder(), PATIENCE).await? {
            Some(alone) => alone,
            None => Lock::writer(home.folder()).await?,
        };
    }
    let remap = Arc::new(DatasetIndexRemapperOptions::default());
    commit_compaction(&mut dataset, written, remap, options).await.map_err(Error::table(table))?;
    drop(writing);
    Ok(dataset)
}
