//! The one place through which every commit of every table goes: commit, sync, now.
//!
//! In: a table and a change. Out: the version that the change made, once it lies on the disk. The trait is small so
//! that tests can put a failing disk or another clock under the whole store, and so that durability is decided here and
//! nowhere else.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::optimize::{CompactionOptions, compact_files};
use lance::dataset::transaction::{Operation, Transaction};
use lance::dataset::{CommitBuilder, InsertBuilder, WriteMode, WriteParams};
use lance::index::DatasetIndexExt;
use lance::session::Session;
use lance_index::IndexType;
use lance_index::optimize::OptimizeOptions;
use lance_index::scalar::ScalarIndexParams;
use rand::Rng;
use tokio::sync::Mutex;

use crate::columns::Timestamp;
use crate::error::{Error, Result};
use crate::locks::{Lock, Purpose};
use crate::table::TableId;

/// How often a commit that met another writer's is tried again.
const CONFLICT_RETRIES: u32 = 20;

/// A change to one table.
#[derive(Clone, Debug)]
pub enum Change {
    /// Rows added; one version however many batches.
    Append(Vec<RecordBatch>),
    /// Rows that match the predicate marked as deleted.
    Delete(String),
    /// Small fragments merged into fragments of about this many rows.
    Compact {
        /// Rows per fragment aimed at.
        target_rows: usize,
    },
    /// An index built, or brought up to the newest rows where it stands.
    Index {
        /// Column.
        column: &'static str,
        /// Kind of index.
        kind: IndexKind,
    },
    /// Versions older than this, and named by no tag, removed.
    CleanUp {
        /// Age from which a version goes.
        older_than: Duration,
    },
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
    fn index_name(self, column: &str) -> String {
        match self {
            IndexKind::BTree => format!("{column}_btree"),
            IndexKind::Bitmap => format!("{column}_bitmap"),
        }
    }
}

/// A commit that is done but not yet synced.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The version it made.
    pub version: u64,
    /// Files that must be on the disk before anybody is told; `None`: everything of the table.
    files: Option<Vec<PathBuf>>,
}

/// What the store's writers stand on.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Makes the change, retrying where another writer was first.
    async fn commit(&self, table: TableId, change: Change) -> Result<Committed>;
    /// Returns once what `committed` names lies on the disk.
    async fn sync(&self, table: TableId, committed: Committed) -> Result<()>;
    /// The newest version of the table, opened.
    async fn latest(&self, table: TableId) -> Result<Arc<Dataset>>;
    /// Wall clock.
    fn now(&self) -> Timestamp;
}

/// The log over Lance tables in a local folder.
pub struct LanceLog {
    corpus: PathBuf,
    session: Arc<Session>,
    syncs: bool,
    handles: HashMap<TableId, Mutex<Option<Arc<Dataset>>>>,
}

impl LanceLog {
    /// A log over the tables of the corpus in this folder.
    /// Without `syncs` a commit is acknowledged once the operating system has it.
    pub fn new(corpus: PathBuf, session: Arc<Session>, syncs: bool) -> Self {
        let handles = TableId::ALL.iter().map(|table| (*table, Mutex::new(None))).collect();
        Self { corpus, session, syncs, handles }
    }

    /// Where a table lies.
    pub fn table_path(&self, table: TableId) -> PathBuf {
        table_path(&self.corpus, table)
    }

    /// Creates a table with no rows.
    pub async fn create(&self, table: TableId, metadata: HashMap<String, String>) -> Result<()> {
        let schema = table.schema();
        let mut all = schema.metadata().clone();
        all.extend(metadata);
        let schema = Arc::new(schema.as_ref().clone().with_metadata(all));
        let params = WriteParams { mode: WriteMode::Create, ..self.write_params(table)? };
        let empty = RecordBatch::new_empty(schema);
        let path = self.table_path(table);
        InsertBuilder::new(uri(&path)?.as_str())
            .with_params(&params)
            .execute(vec![empty])
            .await
            .map_err(Error::table(table))?;
        sync_file_system(path).await
    }

    fn write_params(&self, table: TableId) -> Result<WriteParams> {
        // About 1 GB a fragment for images, a million rows for the rest.
        let max_bytes_per_file = 1 << 30;
        Ok(WriteParams {
            mode: WriteMode::Append,
            max_bytes_per_file,
            data_storage_version: Some("2.2".parse().map_err(Error::table(table))?),
            enable_stable_row_ids: false,
            session: Some(self.session.clone()),
            skip_auto_cleanup: true,
            auto_cleanup: None,
            ..WriteParams::default()
        })
    }

    async fn open(&self, table: TableId) -> Result<Arc<Dataset>> {
        let path = self.table_path(table);
        let dataset = DatasetBuilder::from_uri(uri(&path)?)
            .with_session(self.session.clone())
            .load()
            .await
            .map_err(Error::table(table))?;
        Ok(Arc::new(dataset))
    }

    async fn remember(&self, table: TableId, dataset: Dataset) -> Arc<Dataset> {
        let dataset = Arc::new(dataset);
        let mut held = self.handles[&table].lock().await;
        if held.as_ref().is_none_or(|old| old.version().version <= dataset.version().version) {
            *held = Some(dataset.clone());
        }
        dataset
    }

    async fn append(&self, table: TableId, batches: Vec<RecordBatch>) -> Result<Committed> {
        let params = self.write_params(table)?;
        let mut dataset = self.latest(table).await?;
        let transaction = InsertBuilder::new(dataset.clone())
            .with_params(&params)
            .execute_uncommitted(batches)
            .await
            .map_err(Error::table(table))?;
        let mut attempt = 0;
        loop {
            let commit = CommitBuilder::new(dataset.clone()).with_skip_auto_cleanup(true);
            match commit.execute(transaction.clone()).await {
                Ok(new) => {
                    let files = self.files_of(table, &transaction, &new);
                    let new = self.remember(table, new).await;
                    return Ok(Committed { version: new.version().version, files: Some(files) });
                }
                // The files are written; only the manifest has to find its number.
                Err(error) if is_conflict(&error) && attempt < CONFLICT_RETRIES => {
                    attempt += 1;
                    let wait = rand::rng().random_range(1..=10 * u64::from(attempt));
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    dataset = self.latest(table).await?;
                }
                Err(error) => return Err(Error::table(table)(error)),
            }
        }
    }

    fn files_of(&self, table: TableId, transaction: &Transaction, new: &Dataset) -> Vec<PathBuf> {
        let root = self.table_path(table);
        let mut files = Vec::new();
        if let Operation::Append { fragments } = &transaction.operation {
            files.extend(fragments.iter().flat_map(|f| &f.files).map(|file| root.join("data").join(&file.path)));
        }
        if let Some(name) = &new.manifest().transaction_file {
            files.push(root.join("_transactions").join(name));
        }
        if let Some(name) = new.manifest_location().path.filename() {
            files.push(root.join("_versions").join(name));
        }
        files
    }

    async fn delete(&self, table: TableId, predicate: &str) -> Result<Committed> {
        let mut dataset = self.latest(table).await?.as_ref().clone();
        dataset.delete(predicate).await.map_err(Error::table(table))?;
        let dataset = self.remember(table, dataset).await;
        Ok(Committed { version: dataset.version().version, files: None })
    }

    async fn compact(&self, table: TableId, target_rows: usize) -> Result<Committed> {
        let mut dataset = self.latest(table).await?.as_ref().clone();
        let options = CompactionOptions {
            target_rows_per_fragment: target_rows,
            max_bytes_per_file: Some(1 << 30),
            num_threads: Some(1),
            batch_size: Some(256),
            io_buffer_size: Some(64 << 20),
            defer_index_remap: false,
            ..CompactionOptions::default()
        };
        compact_files(&mut dataset, options, None).await.map_err(Error::table(table))?;
        let dataset = self.remember(table, dataset).await;
        Ok(Committed { version: dataset.version().version, files: None })
    }

    async fn index(&self, table: TableId, column: &'static str, kind: IndexKind) -> Result<Committed> {
        let mut dataset = self.latest(table).await?.as_ref().clone();
        let name = kind.index_name(column);
        let known = dataset.load_indices_by_name(&name).await.map_err(Error::table(table))?;
        if known.is_empty() {
            let index_type = if kind == IndexKind::BTree { IndexType::BTree } else { IndexType::Bitmap };
            dataset
                .create_index(&[column], index_type, Some(name), &ScalarIndexParams::default(), false)
                .await
                .map_err(Error::table(table))?;
        } else {
            // A few merged segments read faster than many; appending only would pile them up.
            let options = if known.len() > 4 { OptimizeOptions::merge(known.len()) } else { OptimizeOptions::append() };
            let options = options.index_names(vec![name]);
            dataset.optimize_indices(&options).await.map_err(Error::table(table))?;
        }
        let dataset = self.remember(table, dataset).await;
        Ok(Committed { version: dataset.version().version, files: None })
    }

    async fn clean_up(&self, table: TableId, older_than: Duration) -> Result<Committed> {
        // No version goes while a write is in flight, here or in another process.
        let _no_writes = Lock::exclusive_async(&self.corpus, Purpose::Writers).await?;
        let dataset = self.latest(table).await?;
        // Never `delete_unverified`: files of a commit in flight elsewhere are unreferenced until it lands.
        dataset
            .cleanup_old_versions(chrono_duration(older_than)?, Some(false), Some(false))
            .await
            .map_err(Error::table(table))?;
        Ok(Committed { version: dataset.version().version, files: Some(Vec::new()) })
    }
}

#[async_trait]
impl Log for LanceLog {
    async fn commit(&self, table: TableId, change: Change) -> Result<Committed> {
        if let Change::CleanUp { older_than } = change {
            return self.clean_up(table, older_than).await;
        }
        let _writing = Lock::shared_async(&self.corpus, Purpose::Writers).await?;
        match change {
            Change::Append(batches) => self.append(table, batches).await,
            Change::Delete(predicate) => self.delete(table, &predicate).await,
            Change::Compact { target_rows } => self.compact(table, target_rows).await,
            Change::Index { column, kind } => self.index(table, column, kind).await,
            Change::CleanUp { .. } => Err(Error::Internal { what: "clean-up reached the write path".into() }),
        }
    }

    async fn sync(&self, table: TableId, committed: Committed) -> Result<()> {
        match committed.files {
            _ if !self.syncs => Ok(()),
            None => sync_file_system(self.table_path(table)).await,
            Some(files) => sync_files(files).await,
        }
    }

    async fn latest(&self, table: TableId) -> Result<Arc<Dataset>> {
        let mut held = self.handles[&table].lock().await;
        let dataset = match held.as_ref() {
            None => self.open(table).await?,
            Some(dataset) => {
                if !dataset.is_stale().await.map_err(Error::table(table))? {
                    return Ok(dataset.clone());
                }
                let mut newer = dataset.as_ref().clone();
                newer.checkout_latest().await.map_err(Error::table(table))?;
                Arc::new(newer)
            }
        };
        *held = Some(dataset.clone());
        Ok(dataset)
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Where a table of a corpus lies.
pub(crate) fn table_path(corpus: &Path, table: TableId) -> PathBuf {
    corpus.join("tables").join(format!("{}.lance", table.name()))
}

/// Whether trying again on a newer version helps.
fn is_conflict(error: &lance::Error) -> bool {
    matches!(
        error,
        lance::Error::CommitConflict { .. }
            | lance::Error::RetryableCommitConflict { .. }
            | lance::Error::TooMuchWriteContention { .. }
    )
}

/// The URI of a local path; Lance takes UTF-8 only.
pub(crate) fn uri(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::FileSystem {
        path: path.to_owned(),
        reason: "the path is not UTF-8; put the corpus elsewhere".to_owned(),
    })
}

fn chrono_duration(duration: Duration) -> Result<chrono::TimeDelta> {
    chrono::TimeDelta::from_std(duration).map_err(|_| Error::Internal { what: format!("clean-up age {duration:?}") })
}

/// Syncs the files and the folders that hold their names.
async fn sync_files(files: Vec<PathBuf>) -> Result<()> {
    on_blocking(move || {
        let mut folders: Vec<&Path> = files.iter().filter_map(|file| file.parent()).collect();
        folders.sort_unstable();
        folders.dedup();
        for path in files.iter().map(PathBuf::as_path).chain(folders) {
            let opened = std::fs::File::open(path);
            opened.and_then(|file| file.sync_all()).map_err(|source| Error::Sync { path: path.to_owned(), source })?;
        }
        Ok(())
    })
    .await
}

/// Syncs the whole file system that holds `path`: for the rare changes whose files Lance does not name.
async fn sync_file_system(path: PathBuf) -> Result<()> {
    on_blocking(move || {
        let failed = |source: std::io::Error| Error::Sync { path: path.clone(), source };
        let folder = std::fs::File::open(&path).map_err(failed)?;
        rustix::fs::syncfs(&folder).map_err(|errno| failed(errno.into()))
    })
    .await
}

async fn on_blocking(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(join) => Err(Error::Internal { what: format!("sync task: {join}") }),
    }
}

/// Rows that the index on `column` does not cover yet.
pub(crate) async fn uncovered_rows(
    dataset: &Arc<Dataset>,
    table: TableId,
    column: &str,
    kind: IndexKind,
) -> Result<usize> {
    let segments = dataset.load_indices_by_name(&kind.index_name(column)).await.map_err(Error::table(table))?;
    let covered = |id: u64| {
        let id = u32::try_from(id).unwrap_or(u32::MAX);
        segments.iter().any(|segment| segment.fragment_bitmap.as_ref().is_some_and(|bitmap| bitmap.contains(id)))
    };
    Ok(dataset.iter_fragments().filter(|f| !covered(f.id)).map(|f| f.physical_rows.unwrap_or(0)).sum())
}
