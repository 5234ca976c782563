//! Everything that can go wrong in the store, sorted by whose problem it is.
//!
//! Four groups: the user asked for something that cannot be; the data on disk is not what it should be; the
//! environment (disk, permissions, another process) failed; or it is a bug. Each message names the path, table or id and
//! says what to do.

mod causes;

use std::path::PathBuf;

use self::causes::list;
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
    /// A folder that is not, and cannot become, a backup.
    #[error(
        "{path} is no backup of a corpus: name a folder outside the corpus that does not exist, is empty, or holds a finished \
         backup; one that was broken off is finished by `marginalia backup {path}`"
    )]
    NotABackup {
        /// Which.
        path: PathBuf,
    },
    /// The backup of another corpus.
    #[error("{path} holds the backup of another corpus ({corpus}); name another folder")]
    AnotherBackup {
        /// Which.
        path: PathBuf,
        /// The corpus it belongs to.
        corpus: String,
    },
    /// A restored corpus goes into a folder of its own.
    #[error("{path} is not empty; name a folder that does not exist")]
    NotEmpty {
        /// Which.
        path: PathBuf,
    },
    /// There is one already.
    #[error("{path} already holds a corpus")]
    CorpusExists {
        /// Where.
        path: PathBuf,
    },
    /// A URI whose scheme is not on the allow-list.
    #[error(
        "{uri}: a corpus lives in a local folder or on s3://; {scheme}:// is not supported{}", if cfg!(feature = "s3") { "" } else { ", \
         and this build was made without the feature s3" }
    )]
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
    /// A round whose versions were cleaned up, or hold a face that was forgotten.
    #[error("the tables as round {round} saw them are gone ({why}); {known}")]
    RoundNotKept {
        /// As given.
        round: u32,
        /// What became of them.
        why: String,
        /// Which are still there.
        known: String,
    },
    /// A time that does not read.
    #[error("`{0}` is no time; write 2026-11-24, 2026-11-24T10:00 (UTC) or 2026-11-24T10:00:00+01:00")]
    NoTime(String),
    /// A time whose state is not there: before the corpus, or cleaned up.
    #[error("the tables as they were at {time} UTC are not kept; nearest: {nearest}")]
    TimeNotKept {
        /// As given.
        time: crate::columns::Timestamp,
        /// What is there instead.
        nearest: String,
    },
    /// No such token.
    #[error("no token {token} that has not been revoked; `marginalia token list` shows which there are")]
    NoSuchToken {
        /// Name or id, as given.
        token: String,
    },
    /// A name that is in use.
    #[error(
        "there is a token named {name} already; choose another name, make it anew (`marginalia token rotate {name}`), or \
         revoke it first (`marginalia token revoke {name}`)"
    )]
    TokenExists {
        /// As given.
        name: String,
    },
    /// A name that cannot be a user name everywhere.
    #[error(
        "{name:?} cannot name a token; take 1 to 63 letters, digits and the signs . _ - @, the first a letter or digit"
    )]
    TokenName {
        /// As given.
        name: String,
    },
    /// A role that does not exist.
    #[error("there is no role {0}; a token is for a reader, an annotator or an admin")]
    NoSuchRole(String),
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
    /// SQL that never began: for so many seconds none of those that ran before it ended.
    #[error("query waited {0} s for its turn; as many run side by side as SQL has threads; try again later")]
    QueryTurnedAway(u64),
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
    /// No version of a table is whole.
    #[error(
        "table {table}: none of its versions in {path} is whole; restore the corpus from a backup (the files are still \
         there, with the ending .broken)"
    )]
    TableLost {
        /// Table.
        table: TableId,
        /// Where its versions lie.
        path: PathBuf,
    },
    /// The newest whole version is older than one that a round pins.
    #[error(
        "table {table}: version {version} is broken ({reason}), and {tag} pins it or a later one; going back behind it \
         costs what that round saw: restore a backup, or accept that with `marginalia verify --repair`"
    )]
    PinnedVersionBroken {
        /// Table.
        table: TableId,
        /// The broken version.
        version: u64,
        /// The pin that stands in the way.
        tag: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A copy that is not what it was copied from.
    #[error(
        "{path}: the copy does not verify ({finding}); run `marginalia verify` on the corpus itself, then copy again"
    )]
    BackupDiffers {
        /// The copy.
        path: PathBuf,
        /// The first finding.
        finding: String,
    },
    /// The key of the tombstones is not a key.
    #[error(
        "{path}: a key has 32 bytes, this has {length}; restore it from a backup: without it forgotten faces may come back"
    )]
    BadKey {
        /// Where.
        path: PathBuf,
        /// Its length.
        length: usize,
    },
    /// Something of a forgotten face was found in the end.
    #[error("the faces were removed from every table, but these files still hold something of them: {}", list(files))]
    NotForgotten {
        /// Which.
        files: Vec<PathBuf>,
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
    /// An object store that lets two writers create one object.
    #[error(
        "{uri}: this store ignores conditional writes (If-None-Match), so commits of two processes would overwrite each other \
         without a word; choose a store that has them, or a local folder"
    )]
    NoConditionalPut {
        /// The corpus.
        uri: String,
    },
    /// An object store did not answer as it should.
    #[error("{uri}: {source}; is the store reachable, and do AWS_ENDPOINT, AWS_REGION and the credentials fit it?")]
    RemoteStore {
        /// Which object.
        uri: String,
        /// Why.
        source: Box<lance::Error>,
    },
    /// No folder for the working copy of a corpus in an object store.
    #[error(
        "neither HOME nor {variable} is set: name a folder for the working copy of a corpus on s3:// with {variable}"
    )]
    NoCache {
        /// The variable that names one.
        variable: &'static str,
    },
    /// Another machine has a role that only one can have.
    #[error("{uri}: {what} is held by {who}; wait for it or stop it")]
    Leased {
        /// What the lease is for.
        what: &'static str,
        /// The corpus.
        uri: String,
        /// Its holder.
        who: String,
    },
    /// This process had a role and has it no more.
    #[error("{uri}: {what} was lost: this machine slept or the store could not be reached for too long; start again")]
    LeaseLost {
        /// What the lease was for.
        what: &'static str,
        /// The corpus.
        uri: String,
    },
    /// Other processes added rows between the look at a table and the commit, and some of them are the same.
    #[error("table {table}: other processes kept adding the same rows; try again")]
    Overtaken {
        /// Table.
        table: TableId,
    },
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Little is left on the disk, and faces are the first that have to wait.
    #[error(
        "{path}: no room for new faces: {free_mb} MB are free, and store.reserve_mb keeps {reserve_mb} MB for labels and \
         repairs; make room (`marginalia compact` removes old versions) or lower it"
    )]
    NoRoom {
        /// The corpus.
        path: PathBuf,
        /// Free.
        free_mb: u64,
        /// Kept free.
        reserve_mb: u64,
    },
    /// The disk has no room left; what was there before is as it was.
    #[error(
        "table {table}: the disk is full, nothing of this commit was stored and everything before it is intact; make room \
         and try again ({detail})"
    )]
    DiskFull {
        /// Table.
        table: TableId,
        /// Which file, in the words of the system.
        detail: String,
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
    #[error("the writer of table {0} has stopped after an earlier error; restart the process")]
    WriterStopped(TableId),
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
