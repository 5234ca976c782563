//! Everything that can go wrong in the store, sorted by whose problem it is.
//!
//! Four groups: the user asked for something that cannot be; the data on disk is not what it should be; the
//! environment (disk, permissions, another process) failed; or it is a bug. Each message names the path, table or id and
//! says what to do.

use std::path::PathBuf;

use crate::table::TableId;

/// Result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // The user's.
    /// There is no corpus there.
    #[error("{path} holds no corpus; `marginalia init {path}` makes one")]
    NoCorpus {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{path} already holds a corpus")]
    CorpusExists {
        /// Where.
        path: PathBuf,
    },
    /// A URI whose scheme is not on the allow-list.
    #[error("{uri}: a corpus lives in a local folder; the scheme {scheme}:// is not supported by this build")]
    UnsupportedScheme {
        /// As given.
        uri: String,
        /// Its scheme.
        scheme: String,
    },
    /// No such face.
    #[error("no face {face_id} in this corpus; `marginalia sql \"select face_id from faces limit 5\"` lists some")]
    NoSuchFace {
        /// As given.
        face_id: String,
    },
    /// An abbreviation that fits several faces.
    #[error("{prefix} fits several faces ({examples}); give more digits")]
    AmbiguousFace {
        /// As given.
        prefix: String,
        /// Some that fit.
        examples: String,
    },
    /// No such label.
    #[error("no label {label_id} in this corpus, or it was taken back already")]
    NoSuchLabel {
        /// As given.
        label_id: String,
    },
    /// No such round.
    #[error("no round {round}; {known}")]
    NoSuchRound {
        /// As given.
        round: u32,
        /// Which there are.
        known: String,
    },
    /// A round whose versions were cleaned up.
    #[error("the tables as round {round} saw them are gone (only the last {kept} rounds are kept); {known}")]
    RoundNotKept {
        /// As given.
        round: u32,
        /// The setting.
        kept: usize,
        /// Which are still there.
        known: String,
    },
    /// SQL that is refused before it runs.
    #[error("query refused: {reason}")]
    QueryRefused {
        /// Why, and what to do instead.
        reason: String,
    },
    /// SQL that does not parse, plan or run.
    #[error("query failed: {message}")]
    QueryFailed {
        /// The engine's words.
        message: String,
    },
    /// SQL that ran out of time.
    #[error("query stopped at its deadline of {seconds} s; narrow it (where, limit), or raise sql.timeout_seconds")]
    QueryTimeout {
        /// The deadline.
        seconds: u64,
    },
    /// SQL that ran out of memory.
    #[error("query needs more memory than sql.memory_mb allows: {reason}")]
    QueryTooLarge {
        /// Which operator.
        reason: String,
    },

    // The data's.
    /// A table lacks a column.
    #[error("table {table} has no column {column}: it was not written by Marginalia, or by another version")]
    MissingColumn {
        /// Table.
        table: TableId,
        /// Column.
        column: String,
    },
    /// A table of another schema.
    #[error("table {table} has schema version {found}, this build reads versions up to {known}; use a newer build")]
    SchemaVersion {
        /// Table.
        table: TableId,
        /// What it says.
        found: String,
        /// What we know.
        known: u32,
    },
    /// A record of ours that does not read.
    #[error("{what} does not read: {source}")]
    Unreadable {
        /// Which record.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A face whose image is not where it should be.
    #[error("face {face_id} has no row at its place in table faces; run `marginalia verify`")]
    DanglingFace {
        /// Which.
        face_id: String,
    },

    // The environment's.
    /// The file system cannot hold a corpus.
    #[error("{path}: this file system cannot hold a corpus: {reason}")]
    FileSystem {
        /// Where.
        path: PathBuf,
        /// What failed, and what to do.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The data may not have reached the disk: nobody is told it did, and writing stops.
    #[error(
        "{path}: sync failed ({source}); nothing of this commit was acknowledged and writing has stopped; check the disk and start again"
    )]
    Sync {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another process holds a lock.
    #[error("{what} is held by another process ({path}); wait for it or stop it")]
    Locked {
        /// What the lock is for.
        what: &'static str,
        /// Its file.
        path: PathBuf,
    },
    /// A commit of gathered rows failed; every caller in it is told.
    #[error("{source}")]
    Commit {
        /// Table.
        table: TableId,
        /// Why.
        source: std::sync::Arc<Error>,
    },
    /// A writer that has stopped, after an error it reported before.
    #[error("the writer of table {table} has stopped after an earlier error; restart the process")]
    WriterStopped {
        /// Table.
        table: TableId,
    },
    /// Lance failed.
    #[error("table {table}: {source}")]
    Table {
        /// Table.
        table: TableId,
        /// Why.
        source: Box<lance::Error>,
    },
    /// Lance failed outside any one table.
    #[error(transparent)]
    Lance(#[from] lance::Error),
    /// DataFusion failed.
    #[error(transparent)]
    DataFusion(#[from] datafusion::error::DataFusionError),
    /// Arrow failed.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),

    // Ours.
    /// Something that cannot be, was.
    #[error("bug: {what}; please report it with the command that led here")]
    Internal {
        /// What.
        what: String,
    },
}

impl Error {
    /// Names the file an I/O error belongs to.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Names the table a Lance error belongs to.
    pub(crate) fn table(table: TableId) -> impl FnOnce(lance::Error) -> Self {
        move |source| Self::Table { table, source: Box::new(source) }
    }
}
