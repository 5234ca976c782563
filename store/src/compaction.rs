//! Which fragments are put together.
//!
//! In: a table and the rows that a fragment should have. Out: what Lance is told of it, and how many fragments it would take.

use lance::Dataset;
use lance::dataset::optimize::{CompactionOptions, plan_compaction};

use crate::error::{Error, Result};
use crate::table::TableId;

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
