//! The one place through which every commit of every table goes.
//!
//! In: a table and a change. Out: the version that the change made, once it lies on the disk. The trait is small so
//! that tests can put a failing disk or another clock under the whole store. The real one is
//! [`LanceLog`].

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use lance::Dataset;

use crate::columns::Timestamp;
use crate::error::Result;
pub use crate::lance_log::LanceLog;
use crate::table::TableId;

/// A change to one table.
#[derive(Clone, Debug)]
pub enum Change {
    /// Rows added; one version however many batches.
    Append(Vec<RecordBatch>),
    /// Rows added whose key is in no row that was added since; otherwise [`Error::Overtaken`](crate::Error::Overtaken), and
    /// nothing is added.
    AppendNew {
        /// The rows.
        batches: Vec<RecordBatch>,
        /// The key, a column of text or numbers.
        key: &'static str,
        /// The table in which the keys were looked for.
        since: Arc<Dataset>,
    },
    /// Rows that match the predicate marked as deleted.
    Delete(String),
    /// Small fragments merged into fragments of about this many rows.
    Compact {
        /// Rows per fragment aimed at.
        target_rows: usize,
        /// Rewrite every fragment with a deleted row, not only those with many.
        every_deletion: bool,
    },
    /// An index built, or brought up to the newest rows where it stands.
    Index {
        /// Column.
        column: &'static str,
        /// Kind of index.
        kind: IndexKind,
        /// Build it anew, from the rows that there are now; without rows it goes.
        rebuild: bool,
    },
    /// A note in the table's metadata.
    Note {
        /// Its name.
        key: &'static str,
        /// What it says.
        value: String,
    },
    /// Versions older than this, and named by no tag, removed.
    CleanUp {
        /// Age from which a version goes.
        older_than: Duration,
    },
    /// Files that no version names removed: what writers left that were killed.
    Sweep,
}

/// Kind of index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// For keys.
    BTree,
    /// For columns of few values.
    Bitmap,
}

impl IndexKind {
    pub(crate) fn index_name(self, column: &str) -> String {
        match self {
            IndexKind::BTree => format!("{column}_btree"),
            IndexKind::Bitmap => format!("{column}_bitmap"),
        }
    }
}

/// What the store's writers stand on.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Makes the change, retrying where another writer was first; returns the version it made, which lies on the disk.
    ///
    /// # Errors
    /// [`Error::Sync`] where it may not: then whoever asked is told so, and this process commits no more.
    async fn commit(&self, table: TableId, change: Change) -> Result<u64>;
    /// The newest version of the table, opened.
    async fn latest(&self, table: TableId) -> Result<Arc<Dataset>>;
    /// How often commits of this process met another writer's and were tried again.
    fn conflicts(&self, _table: TableId) -> u64 {
        0
    }
    /// Wall clock.
    fn now(&self) -> Timestamp;
}
