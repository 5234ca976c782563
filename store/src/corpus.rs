//! A corpus: Lance tables, checkpoints and locks, in a folder or an object store.
//!
//! In: a path or URI. Out: snapshots to read from, one writer per table to append through, rounds to commit. Processes keep no
//! other state, so any number of them may have the same corpus open.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lance::session::Session;

use crate::cadence::Cadence;
use crate::clock::ClockGuard;
use crate::copies::Dedup;
use crate::error::{Error, Result};
use crate::failpoint::FailPoints;
use crate::home::Home;
use crate::known::KnownFaces;
use crate::lance_log::LanceLog;
use crate::log::Log;
use crate::repair::{self, Depth, SetAside};
use crate::table::{SCHEMA_VERSION_KEY, Table, TableId};
use crate::tables::faces::Face;
use crate::tables::rounds::Round;
use crate::tokens::Grants;
use crate::tombstones::Tombstones;
use crate::value_filter::ValueFilter;
use crate::writer::{AdmitAll, Gather, Writer};

/// Key of the class names, a JSON list, in every table's schema metadata.
const CLASSES_KEY: &str = "marginalia:classes";

/// Key of the corpus's own id, in the metadata of table `faces`.
const IDENTITY_KEY: &str = "marginalia:corpus";

/// Bytes of the filter over the keys of requests: one false alarm in a hundred at 1.7 million.
const REQUEST_KEYS: usize = 2 << 20;

/// When a class loses its pseudo-labels to the judgement of people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Audit {
    /// Precision below which the class is withheld, 0 to 1; 0: never.
    pub target: f64,
    /// Faces of the class that must have been judged before an audit says anything.
    pub min_faces: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self { target: 0.5, min_faces: 10 }
    }
}

/// Settings of an open corpus.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cache for opened indices, bytes.
    pub index_cache_bytes: usize,
    /// Cache for manifests and file footers, bytes.
    pub metadata_cache_bytes: usize,
    /// How long faces wait for company before a commit; zero: for what comes in during the commit before, in an object
    /// store for what comes in until the next one is due.
    pub face_window: Duration,
    /// How a face is kept from being stored twice.
    pub dedup: Dedup,
    /// Whether an acknowledged commit lies on the disk, or is merely handed to the operating system.
    pub sync: bool,
    /// Bytes that new faces leave free on the disk; 0: none.
    pub reserve_bytes: u64,
    /// Rounds whose versions are kept.
    pub keep_rounds: usize,
    /// When audited pseudo-labels are withheld.
    pub audit: Audit,
    /// People who judge a face before it leaves the queue.
    pub judgements_per_face: u32,
    /// Whether only admins are told whose word is whose.
    pub blind: bool,
    /// Places where tests make a round die.
    pub fail_points: FailPoints,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            index_cache_bytes: 128 << 20,
            metadata_cache_bytes: 64 << 20,
            face_window: Duration::ZERO,
            dedup: Dedup::default(),
            sync: true,
            reserve_bytes: 64 << 20,
            keep_rounds: 20,
            audit: Audit::default(),
            judgements_per_face: 1,
            blind: false,
            fail_points: FailPoints::default(),
        }
    }
}

/// An open corpus; cheap to clone.
#[derive(Clone)]
pub struct Corpus {
    inner: Arc<Inner>,
}

struct Inner {
    home: Home,
    classes: Vec<String>,
    log: Arc<dyn Log>,
    options: Options,
    clock: ClockGuard,
    cadence: Arc<Cadence>,
    tombstones: Arc<Tombstones>,
    grants: Grants,
    /// Keys under which labels were stored.
    request_keys: tokio::sync::Mutex<ValueFilter>,
    /// One writer task per table, started at first use, by row type.
    writers: Mutex<HashMap<TypeId, Box<dyn Any + Send>>>,
}

impl Corpus {
    /// Makes an empty corpus in `root` (a path that may exist, without a corpus in it, or a URI) and opens it.
    ///
    /// A trial comes first, so that a file system or object store that cannot hold a corpus is refused before anything is in
    /// it.
    pub async fn init(root: &Path, classes: &[String], options: Options) -> Result<Self> {
        let home = Home::make(root).await?;
        let mut missing = Vec::new();
        for table in TableId::ALL {
            if !home.has_table(*table).await? {
                missing.push(*table);
            }
        }
        if missing.is_empty() {
            return Err(Error::CorpusExists { path: root.to_owned() });
        }
        match home.remote() {
            None => crate::trial::commit(home.folder()).await?,
            Some(remote) => remote.probe().await?,
        }
        let classes_json = serde_json::to_string(classes)
            .map_err(|source| Error::Unreadable { what: "the list of classes".into(), source })?;
        let log = LanceLog::new(home.clone(), session(&home, &options), options.sync);
        // An `init` that was cut short left some of them; they are as empty as new ones.
        for table in missing {
            let mut metadata = HashMap::from([(CLASSES_KEY.to_owned(), classes_json.clone())]);
            if table == TableId::Faces {
                metadata.insert(IDENTITY_KEY.to_owned(), format!("{:032x}", rand::random::<u128>()));
            }
            log.create(table, metadata).await?;
        }
        Self::open_in(home, options).await
    }

    /// Opens the corpus at this path or URI.
    pub async fn open(root: &Path, options: Options) -> Result<Self> {
        Self::open_in(Home::attach(root).await?, options).await
    }

    /// Opens the corpus that lives here.
    pub async fn open_in(home: Home, options: Options) -> Result<Self> {
        if home.remote().is_none() {
            repair::repair(home.folder(), Depth::AbovePins).await?;
        }
        let log = LanceLog::new(home.clone(), session(&home, &options), options.sync);
        add_tables(&home, &log).await?;
        Self::open_over(home, options, Arc::new(log)).await
    }

    /// Opens the corpus and goes back past what rounds pin, where that is all that is whole: see
    /// [`Error::PinnedVersionBroken`]. Says what was set aside.
    pub async fn open_past_pins(home: Home, options: Options) -> Result<(Self, Vec<SetAside>)> {
        // In an object store a version is there as a whole or not at all.
        let set_aside = match home.remote() {
            None => repair::repair(home.folder(), Depth::PastPins).await?,
            Some(_) => Vec::new(),
        };
        Ok((Self::open_in(home, options).await?, set_aside))
    }

    /// Manifests and tags that repair has set aside at some time.
    pub fn set_aside(&self) -> Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for folder in TableId::ALL.iter().filter_map(|table| self.home().local_table(*table)) {
            all.extend(repair::set_aside(&folder)?);
        }
        Ok(all)
    }

    /// Opens the corpus over another log: a failing disk or another clock, in tests.
    pub async fn open_over(home: Home, options: Options, log: Arc<dyn Log>) -> Result<Self> {
        let classes = check_schemas(log.as_ref()).await?;
        let inner = Inner {
            cadence: Arc::new(Cadence::new(home.remote().is_some())),
            home,
            classes,
            clock: ClockGuard::new(log.now()),
            tombstones: Arc::default(),
            request_keys: tokio::sync::Mutex::new(ValueFilter::new(TableId::Labels, "request_key", REQUEST_KEYS)),
            grants: Grants::default(),
            log,
            options,
            writers: Mutex::new(HashMap::new()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The corpus's folder, or the working folder of one in an object store.
    pub fn path(&self) -> &Path {
        self.inner.home.folder()
    }

    /// Where it lives.
    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// The folder of a round's checkpoint, brought here where it was not.
    pub async fn checkpoint(&self, round: &Round) -> Result<PathBuf> {
        self.home().pull(&round.checkpoint).await?;
        Ok(self.path().join(&round.checkpoint))
    }

    /// What tells this corpus, wherever it lies, from all others; one of an older build is told by its place.
    pub async fn identity(&self) -> Result<String> {
        let faces = self.log().latest(TableId::Faces).await?;
        Ok(faces.schema().metadata.get(IDENTITY_KEY).cloned().unwrap_or_else(|| self.home().place()))
    }

    /// Class names in order; the order of every `probabilities` column.
    pub fn classes(&self) -> &[String] {
        &self.inner.classes
    }

    /// Settings it was opened with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// The log under all tables.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.inner.log
    }

    pub(crate) fn request_keys(&self) -> &tokio::sync::Mutex<ValueFilter> {
        &self.inner.request_keys
    }

    pub(crate) fn tombstones(&self) -> &Arc<Tombstones> {
        &self.inner.tombstones
    }

    pub(crate) fn known_grants(&self) -> &Grants {
        &self.inner.grants
    }

    pub(crate) fn cadence(&self) -> &Cadence {
        &self.inner.cadence
    }

    /// Time from one commit of faces to the next, as far as others leave it to this process; zero in a folder.
    pub fn commit_interval(&self) -> Duration {
        self.inner.cadence.interval()
    }

    pub(crate) fn clock(&self) -> &ClockGuard {
        &self.inner.clock
    }

    /// The writer of table `T`; all callers in this process share its one task.
    pub fn writer<T: Table>(&self) -> Writer<T> {
        let mut writers = self.inner.writers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let writer = writers.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(self.start_writer::<T>()));
        match writer.downcast_ref::<Writer<T>>() {
            Some(writer) => writer.clone(),
            None => self.start_writer::<T>(),
        }
    }

    fn start_writer<T: Table>(&self) -> Writer<T> {
        let log = self.inner.log.clone();
        if T::ID != TableId::Faces {
            return Writer::start(log, Gather::default(), AdmitAll);
        }
        let cadence = Some(self.inner.cadence.clone());
        let gather = Gather { window: self.inner.options.face_window, max_rows: 4096, cadence };
        let known = KnownFaces::new(self, log.clone());
        let faces = Writer::<Face>::start(log.clone(), gather.clone(), known);
        let faces: Box<dyn Any> = Box::new(faces);
        match faces.downcast::<Writer<T>>() {
            Ok(writer) => *writer,
            Err(_) => Writer::start(log, gather, AdmitAll),
        }
    }
}

/// One Lance session for the process: its caches would otherwise be 7 GB a table.
fn session(home: &Home, options: &Options) -> Arc<Session> {
    Arc::new(Session::new(options.index_cache_bytes, options.metadata_cache_bytes, home.registry()))
}

/// Makes the tables that a corpus of an older schema version does not have yet.
async fn add_tables(home: &Home, log: &LanceLog) -> Result<()> {
    // Whatever else is missing was not made by a version of ours, and opening it says so.
    const LATER: &[TableId] = &[
        TableId::Erasures,
        TableId::Tombstones,
        TableId::Tokens,
        TableId::Projections,
        TableId::Flags,
        TableId::SavedQueries,
        TableId::AuditLog,
        TableId::Experiments,
    ];
    for &table in LATER {
        if home.has_table(table).await? {
            continue;
        }
        let faces = log.latest(TableId::Faces).await?;
        let classes = faces.schema().metadata.get(CLASSES_KEY).cloned();
        log.create(table, classes.map(|json| (CLASSES_KEY.to_owned(), json)).into_iter().collect()).await?;
    }
    Ok(())
}

/// Every table must open and be of a version this build reads; returns the class names.
async fn check_schemas(log: &dyn Log) -> Result<Vec<String>> {
    let mut classes = Vec::new();
    for table in TableId::ALL {
        let dataset = log.latest(*table).await?;
        let metadata = &dataset.schema().metadata;
        let found = metadata.get(SCHEMA_VERSION_KEY).cloned().unwrap_or_default();
        if !found.parse::<u32>().is_ok_and(|version| (1..=crate::SCHEMA_VERSION).contains(&version)) {
            return Err(Error::SchemaVersion { table: *table, found, known: crate::SCHEMA_VERSION });
        }
        if let Some(json) = metadata.get(CLASSES_KEY) {
            classes = serde_json::from_str(json)
                .map_err(|source| Error::Unreadable { what: format!("the class names of table {table}"), source })?;
        }
    }
    Ok(classes)
}
