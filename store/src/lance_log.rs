//! The log over Lance tables, in a local folder or an object store.
//!
//! In: changes. Out: versions, those of a folder committed through `commit.rs`. One handle per table is kept and brought up
//! to date; a commit that met another writer's finds the next number with the files it has written; no file is removed that a
//! write in flight may need, here or in another process: age sees to that, and a lock where a folder's young files go too.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use async_trait::async_trait;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::transaction::{Operation, Transaction};
use lance::dataset::{CommitBuilder, InsertBuilder, NewColumnTransform, WriteMode, WriteParams};
use lance::index::DatasetIndexExt;
use lance::session::Session;
use lance_index::IndexType;
use lance_index::optimize::OptimizeOptions;
use lance_index::scalar::ScalarIndexParams;
use lance_table::io::commit::{CommitHandler, ConditionalPutCommitHandler};
use tokio::sync::{Mutex, OnceCell};

use crate::columns::Timestamp;
use crate::commit::{DurableCommits, OnlyVersion, STAGING};
use crate::compaction;
use crate::contention::{Contention, added_since, is_conflict, keys};
use crate::error::{Error, Result};
use crate::home::Home;
use crate::locks::{Lock, Purpose};
use crate::log::{Change, IndexKind, Log};
use crate::table::{SCHEMA_VERSION_KEY, TableId};

/// The log over Lance tables.
pub struct LanceLog {
    home: Home,
    session: Arc<Session>,
    commits: Arc<dyn CommitHandler>,
    /// Passed once by the object store, before the first commit.
    probed: OnceCell<()>,
    handles: HashMap<TableId, Mutex<Option<Arc<Dataset>>>>,
    conflicts: HashMap<TableId, AtomicU64>,
    /// Set by the first failed sync: what the kernel kept is unknown, and a second sync would prove nothing.
    stopped: AtomicBool,
}

impl LanceLog {
    /// A log over the tables of the corpus that lives here.
    /// Without `syncs` a commit in a folder is acknowledged once the operating system has it.
    pub fn new(home: Home, session: Arc<Session>, syncs: bool) -> Self {
        let handles = TableId::ALL.iter().map(|table| (*table, Mutex::new(None))).collect();
        let conflicts = TableId::ALL.iter().map(|table| (*table, AtomicU64::new(0))).collect();
        let commits: Arc<dyn CommitHandler> = match home.remote() {
            None => Arc::new(DurableCommits::new(syncs)),
            Some(_) => Arc::new(ConditionalPutCommitHandler),
        };
        Self { home, session, commits, probed: OnceCell::new(), handles, conflicts, stopped: AtomicBool::new(false) }
    }

    /// Creates a table with no rows.
    pub async fn create(&self, table: TableId, metadata: HashMap<String, String>) -> Result<()> {
        let schema = table.schema();
        let mut all = schema.metadata().clone();
        all.extend(metadata);
        let schema = Arc::new(schema.as_ref().clone().with_metadata(all));
        let params = WriteParams { mode: WriteMode::Create, ..self.write_params(table)? };
        let empty = RecordBatch::new_empty(schema);
        InsertBuilder::new(self.home.table_uri(table)?.as_str())
            .with_params(&params)
            .execute(vec![empty])
            .await
            .map_err(Error::table(table))?;
        Ok(())
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
            commit_handler: Some(self.commits.clone()),
            ..WriteParams::default()
        })
    }

    async fn open(&self, table: TableId) -> Result<Arc<Dataset>> {
        let dataset = DatasetBuilder::from_uri(self.home.table_uri(table)?)
            .with_session(self.session.clone())
            .with_commit_handler(self.commits.clone())
            .load()
            .await
            .map_err(Error::table(table))?;
        Ok(Arc::new(dataset))
    }

    /// Keeps the newest handle; returns the version of this one.
    async fn remember(&self, table: TableId, dataset: Dataset) -> u64 {
        let version = dataset.version().version;
        let mut held = self.handles[&table].lock().await;
        if held.as_ref().is_none_or(|old| old.version().version <= version) {
            *held = Some(Arc::new(dataset));
        }
        version
    }

    async fn make(&self, table: TableId, change: Change) -> Result<u64> {
        match change {
            Change::CleanUp { older_than } => return self.clean_up(table, older_than, Unnamed::Keep).await,
            Change::Sweep => return self.clean_up(table, NEVER, Unnamed::Remove).await,
            _ => {}
        }
        if let Some(remote) = self.home.remote() {
            self.probed.get_or_try_init(|| remote.probe()).await?;
        }
        if let Change::Compact { target_rows, every_deletion } = change {
            return self.compact(table, target_rows, every_deletion).await;
        }
        let _writing = Lock::writer(self.home.folder()).await?;
        match change {
            Change::Append(batches) => self.append(table, batches).await,
            Change::AppendNew { batches, key, since } => self.append_new(table, batches, key, since).await,
            Change::Delete(predicate) => self.delete(table, &predicate).await,
            Change::Index { column, kind, rebuild } => self.index(table, column, kind, rebuild).await,
            Change::Note { key, value } => self.note(table, key, &value).await,
            Change::Compact { .. } | Change::CleanUp { .. } | Change::Sweep => {
                Err(Error::Internal { what: "upkeep reached the write path".into() })
            }
        }
    }

    async fn append(&self, table: TableId, batches: Vec<RecordBatch>) -> Result<u64> {
        let params = self.write_params(table)?;
        let dataset = self.upgraded(table).await?;
        let transaction = InsertBuilder::new(dataset.clone())
            .with_params(&params)
            .execute_uncommitted(batches)
            .await
            .map_err(Error::table(table))?;
        let mut contention = Contention::start(&self.conflicts[&table]);
        loop {
            // Lance would try again by itself, after waits that make some writer wait for ever longer, and tell nobody.
            let commit = CommitBuilder::new(dataset.clone()).with_max_retries(1).with_skip_auto_cleanup(true);
            match commit.execute(transaction.clone()).await {
                Ok(new) => return Ok(self.remember(table, new).await),
                // The files are written; only the manifest has to find its number.
                Err(error) if is_conflict(&error) && contention.goes_on() => contention.wait().await,
                Err(error) => {
                    self.remove_uncommitted(table, &transaction).await;
                    return Err(Error::table(table)(error));
                }
            }
        }
    }

    /// Appends only to the version that was looked at: the commit of any other fails, the rows that came in between are
    /// looked at, and the same files are tried at the next.
    async fn append_new(
        &self,
        table: TableId,
        batches: Vec<RecordBatch>,
        key: &'static str,
        since: Arc<Dataset>,
    ) -> Result<u64> {
        let params = self.write_params(table)?;
        let keys = keys(&batches, table, key)?;
        let writing =
            InsertBuilder::new(self.upgraded(table).await?).with_params(&params).execute_uncommitted(batches).await;
        let transaction = writing.map_err(Error::table(table))?;
        let mut seen: HashSet<u64> = since.iter_fragments().map(|fragment| fragment.id).collect();
        let mut contention = Contention::start(&self.conflicts[&table]);
        let failed = loop {
            let latest = self.latest(table).await?;
            if added_since(&latest, &seen, table, key, &keys).await? {
                break Error::Overtaken { table };
            }
            seen = latest.iter_fragments().map(|fragment| fragment.id).collect();
            let version = latest.version().version + 1;
            let only = Arc::new(OnlyVersion { version, commits: self.commits.clone() });
            let commit =
                CommitBuilder::new(latest).with_commit_handler(only).with_max_retries(1).with_skip_auto_cleanup(true);
            match commit.execute(transaction.clone()).await {
                // Not kept: it would commit this one version for ever.
                Ok(new) => return Ok(new.version().version),
                Err(error) if is_conflict(&error) && contention.goes_on() => contention.wait().await,
                Err(error) => break Error::table(table)(error),
            }
        };
        self.remove_uncommitted(table, &transaction).await;
        Err(failed)
    }

    /// The newest version; a table of an older schema version first gets the columns that it lacks.
    async fn upgraded(&self, table: TableId) -> Result<Arc<Dataset>> {
        let dataset = self.latest(table).await?;
        let missing = missing_columns(&dataset, table);
        if missing.is_empty() {
            return Ok(dataset);
        }
        let names: Vec<&str> = missing.iter().map(|field| field.name().as_str()).collect();
        tracing::info!(
            "table {table} gets the columns of schema version {}: {}",
            crate::SCHEMA_VERSION,
            names.join(", ")
        );
        let mut dataset = dataset.as_ref().clone();
        let nulls = NewColumnTransform::AllNulls(Arc::new(Schema::new(missing)));
        dataset.add_columns(nulls, None, None).await.map_err(Error::table(table))?;
        let version = crate::SCHEMA_VERSION.to_string();
        dataset.update_schema_metadata([(SCHEMA_VERSION_KEY, version.as_str())]).await.map_err(Error::table(table))?;
        self.remember(table, dataset).await;
        self.latest(table).await
    }

    /// Removes the data files of an append that did not come about: on a full disk they would keep it full.
    async fn remove_uncommitted(&self, table: TableId, transaction: &Transaction) {
        let Operation::Append { fragments } = &transaction.operation else { return };
        // Where the newest version cannot be read it may hold them; the sweep of the next start decides then.
        let Ok(dataset) = self.open(table).await else { return };
        let held: HashSet<&str> = dataset.fragments().iter().flat_map(|f| &f.files).map(|f| f.path.as_str()).collect();
        for file in fragments.iter().flat_map(|f| &f.files).filter(|file| !held.contains(file.path.as_str())) {
            match (self.home.local_table(table), self.home.remote()) {
                (Some(folder), _) => drop(std::fs::remove_file(folder.join("data").join(&file.path))),
                (None, Some(remote)) => {
                    drop(remote.remove(&format!("tables/{}.lance/data/{}", table.name(), file.path)).await);
                }
                (None, None) => {}
            }
        }
    }

    async fn delete(&self, table: TableId, predicate: &str) -> Result<u64> {
        let mut dataset = self.latest(table).await?.as_ref().clone();
        dataset.delete(predicate).await.map_err(Error::table(table))?;
        Ok(self.remember(table, dataset).await)
    }

    async fn compact(&self, table: TableId, target_rows: usize, every_deletion: bool) -> Result<u64> {
        let dataset = self.latest(table).await?.as_ref().clone();
        let options = compaction::options(target_rows, every_deletion);
        Ok(self.remember(table, compaction::compact(&self.home, dataset, table, &options).await?).await)
    }

    async fn index(&self, table: TableId, column: &'static str, kind: IndexKind, rebuild: bool) -> Result<u64> {
        let mut dataset = self.latest(table).await?.as_ref().clone();
        let name = kind.index_name(column);
        let known = dataset.load_indices_by_name(&name).await.map_err(Error::table(table))?;
        if rebuild && dataset.count_rows(None).await.map_err(Error::table(table))? == 0 {
            // Over nothing none can be built, and the old one still names what was deleted.
            if !known.is_empty() {
                dataset.drop_index(&name).await.map_err(Error::table(table))?;
            }
        } else if known.is_empty() || rebuild {
            let index_type = if kind == IndexKind::BTree { IndexType::BTree } else { IndexType::Bitmap };
            dataset
                .create_index(&[column], index_type, Some(name), &ScalarIndexParams::default(), rebuild)
                .await
                .map_err(Error::table(table))?;
        } else {
            // A few merged segments read faster than many; appending only would pile them up.
            let options = if known.len() > 4 { OptimizeOptions::merge(known.len()) } else { OptimizeOptions::append() };
            let options = options.index_names(vec![name]);
            dataset.optimize_indices(&options).await.map_err(Error::table(table))?;
        }
        Ok(self.remember(table, dataset).await)
    }

    async fn note(&self, table: TableId, key: &str, value: &str) -> Result<u64> {
        let mut dataset = self.latest(table).await?.as_ref().clone();
        // Not the schema's: plans are shared by sessions as long as that stays as it is.
        dataset.update_metadata([(key, value)]).await.map_err(Error::table(table))?;
        Ok(self.remember(table, dataset).await)
    }

    async fn clean_up(&self, table: TableId, older_than: Duration, unnamed: Unnamed) -> Result<u64> {
        let local = self.home.local_table(table);
        let remove = unnamed == Unnamed::Remove && local.is_some();
        // What a commit has written is named by no version until it lands, and it may read the version that it began with.
        // Files that no version ever named stay for a week unless asked for; where those go too, or versions that are young,
        // no write is in flight meanwhile, here or in another process. Nobody waits otherwise: to remove thousands of files
        // takes seconds.
        let _no_writes = match remove || older_than < SETTLED {
            true => Some(Lock::exclusive_async(self.home.folder(), Purpose::Writers).await?),
            false => None,
        };
        let dataset = self.latest(table).await?;
        let age = chrono_duration(older_than)?;
        dataset.cleanup_old_versions(age, Some(remove), Some(false)).await.map_err(Error::table(table))?;
        if let Some(folder) = local.filter(|_| remove) {
            remove_staging(&folder)?;
        }
        Ok(dataset.version().version)
    }
}

#[async_trait]
impl Log for LanceLog {
    async fn commit(&self, table: TableId, change: Change) -> Result<u64> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(Error::WriterStopped(table));
        }
        let made = self.make(table, change).await;
        if let Err(Error::Sync { .. }) = made {
            self.stopped.store(true, Ordering::Release);
        }
        made
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

    fn conflicts(&self, table: TableId) -> u64 {
        self.conflicts[&table].load(Ordering::Relaxed)
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Age from which versions go while others write: a commit that began with one is over by then, or fails for want of what it
/// read and loses nothing.
const SETTLED: Duration = Duration::from_secs(600);

/// What clean-up does with young files that no version names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unnamed {
    /// Leaves them: they may be part of a backup or copy under way.
    Keep,
    /// Removes them.
    Remove,
}

/// Older than any version: nothing goes by age.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Removes manifests that were being written when their writer died.
fn remove_staging(table: &Path) -> Result<()> {
    let folder = table.join("_versions");
    for entry in std::fs::read_dir(&folder).map_err(Error::io(&folder))? {
        let path = entry.map_err(Error::io(&folder))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().contains(STAGING)) {
            std::fs::remove_file(&path).map_err(Error::io(path))?;
        }
    }
    Ok(())
}

/// Columns of this build's schema that the table does not have.
pub(crate) fn missing_columns(dataset: &Dataset, table: TableId) -> Vec<Field> {
    let here = dataset.schema();
    table.columns().into_iter().map(|column| column.field).filter(|field| here.field(field.name()).is_none()).collect()
}

fn chrono_duration(duration: Duration) -> Result<chrono::TimeDelta> {
    chrono::TimeDelta::from_std(duration).map_err(|_| Error::Internal { what: format!("clean-up age {duration:?}") })
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
