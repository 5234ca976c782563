//! The scan: a walk over roots in the order of names, without following links, in bounded memory.
//!
//! A folder is read [`CHUNK`] names at a time and each chunk is sorted, so that the order is that of names for every
//! folder people make by hand, and a folder of millions costs no more than a chunk. (walkdir would keep whole paths of a
//! whole folder to sort it.)

use std::ffi::OsString;
use std::fs::{self, FileType, Metadata, ReadDir};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use crate::watch::ignore::Ignore;
use crate::watch::{FileKey, Skip};

/// Names of one folder held at a time: about 4 MB.
const CHUNK: usize = 65_536;
/// Folders inside folders. Each holds a file descriptor while the walk is below it.
const DEPTH: usize = 128;
/// Entries sent together, and batches that may wait.
const BATCH: usize = 512;
const BATCHES: usize = 4;
/// A slow folder's entries are sent after this long, full batch or not.
const BATCH_TIME: Duration = Duration::from_millis(100);

const IMAGE_ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// A file as it was looked at.
#[derive(Clone, Debug)]
pub(super) struct FileState {
    pub key: FileKey,
    /// When its content, name, owner or rights last changed, in nanoseconds of the system's clock; cannot be set by hand.
    pub ctime_ns: i128,
}

impl FileState {
    /// When anything about it last changed.
    pub(super) fn changed(&self) -> SystemTime {
        let ctime = u64::try_from(self.ctime_ns).map_or(UNIX_EPOCH, |ns| UNIX_EPOCH + Duration::from_nanos(ns));
        self.key.mtime.max(ctime)
    }
}

/// What lies at a path.
#[derive(Debug)]
pub(super) enum Entry {
    File(FileState),
    Folder(PathBuf),
    Skipped { path: PathBuf, why: Skip },
    Unreadable { path: PathBuf, error: io::Error, ctime_ns: i128 },
    Gone(PathBuf),
}

impl Entry {
    /// The path where no file lies that could be waited for.
    pub(super) fn no_file(&self) -> Option<&Path> {
        match self {
            Self::File(_) => None,
            Self::Folder(path) | Self::Gone(path) | Self::Skipped { path, .. } | Self::Unreadable { path, .. } => {
                Some(path)
            }
        }
    }
}

/// Looks at one path without following a link.
pub(super) fn look(path: PathBuf) -> Entry {
    match fs::symlink_metadata(&path) {
        Ok(metadata) if metadata.is_file() => Entry::File(state(path, &metadata)),
        Ok(metadata) if metadata.is_dir() => Entry::Folder(path),
        Ok(metadata) => Entry::Skipped { path, why: special(metadata.file_type()) },
        Err(error) if is_gone(&error) => Entry::Gone(path),
        Err(error) => Entry::Unreadable { path, error, ctime_ns: 0 },
    }
}

/// Whether an error says that there is nothing at a path (any more).
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

pub(super) fn state(path: PathBuf, metadata: &Metadata) -> FileState {
    let mtime = metadata.modified().unwrap_or(UNIX_EPOCH);
    FileState {
        key: FileKey { path, size: metadata.size(), mtime, inode: metadata.ino() },
        ctime_ns: ctime_ns(metadata),
    }
}

pub(super) fn ctime_ns(metadata: &Metadata) -> i128 {
    i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec())
}

/// Starts a walk over `roots` on a thread of its own; it ends when the receiver is dropped.
pub(super) fn start(roots: Vec<PathBuf>, ignore: Arc<Ignore>) -> mpsc::Receiver<Vec<Entry>> {
    let (send, batches) = mpsc::channel(BATCHES);
    tokio::task::spawn_blocking(move || {
        let mut batch = Batch { entries: Vec::with_capacity(BATCH), since: Instant::now(), send };
        for root in roots {
            let walk = Walk { ignore: &ignore, open: Vec::new() };
            if walk.root(root, &mut batch).is_err() {
                return;
            }
        }
        // The receiver may be gone: then nobody wants the rest.
        let _ = batch.flush();
    });
    batches
}

/// Nobody listens any more.
struct Unheard;

struct Batch {
    entries: Vec<Entry>,
    since: Instant,
    send: mpsc::Sender<Vec<Entry>>,
}

impl Batch {
    fn push(&mut self, entry: Entry) -> Result<(), Unheard> {
        self.entries.push(entry);
        if self.entries.len() >= BATCH || self.since.elapsed() >= BATCH_TIME { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Unheard> {
        self.since = Instant::now();
        let entries = std::mem::replace(&mut self.entries, Vec::with_capacity(BATCH));
        self.send.blocking_send(entries).map_err(|_| Unheard)
    }
}

/// A folder that is being walked.
struct Open {
    path: PathBuf,
    rest: ReadDir,
    /// Of the names read so far, those still to visit, last first.
    names: Vec<(OsString, io::Result<FileType>)>,
}

struct Walk<'a> {
    ignore: &'a Ignore,
    /// From the root down to the current folder.
    open: Vec<Open>,
}

impl Walk<'_> {
    fn root(mut self, root: PathBuf, batch: &mut Batch) -> Result<(), Unheard> {
        match look(root) {
            Entry::Folder(path) => self.enter(path, batch)?,
            // A root was there when watching began: that it is gone is worth a word.
            Entry::Gone(path) => {
                let error = io::Error::from(io::ErrorKind::NotFound);
                batch.push(Entry::Unreadable { path, error, ctime_ns: 0 })?;
            }
            entry => batch.push(entry)?,
        }
        while let Some(folder) = self.open.last_mut() {
            let Some((name, kind)) = folder.names.pop() else {
                if !folder.refill(batch)? {
                    self.open.pop();
                }
                continue;
            };
            let path = folder.path.join(&name);
            self.visit(path, &name, kind, batch)?;
        }
        Ok(())
    }

    fn visit(
        &mut self,
        path: PathBuf,
        name: &OsString,
        kind: io::Result<FileType>,
        batch: &mut Batch,
    ) -> Result<(), Unheard> {
        if self.ignore.name(name) {
            return batch.push(Entry::Skipped { path, why: Skip::Ignored });
        }
        let entry = match kind {
            // The folder listing tells links and pipes from files without a look at each.
            Ok(kind) if !kind.is_file() && !kind.is_dir() => Entry::Skipped { path, why: special(kind) },
            _ => look(path),
        };
        match entry {
            Entry::Folder(path) => {
                if is_named_like_an_image(&path) {
                    batch.push(Entry::Skipped { path: path.clone(), why: Skip::Folder })?;
                }
                self.enter(path, batch)
            }
            // It went away between the listing and the look.
            Entry::Gone(_) => Ok(()),
            entry => batch.push(entry),
        }
    }

    fn enter(&mut self, path: PathBuf, batch: &mut Batch) -> Result<(), Unheard> {
        if self.open.len() >= DEPTH {
            return batch.push(Entry::Skipped { path, why: Skip::TooDeep });
        }
        match fs::read_dir(&path) {
            Ok(rest) => self.open.push(Open { path, rest, names: Vec::new() }),
            Err(error) if is_gone(&error) => {}
            Err(error) => {
                let ctime_ns = fs::symlink_metadata(&path).map_or(0, |metadata| ctime_ns(&metadata));
                batch.push(Entry::Unreadable { path, error, ctime_ns })?;
            }
        }
        Ok(())
    }
}

impl Open {
    /// Reads the next chunk of names; false at the end of the folder.
    fn refill(&mut self, batch: &mut Batch) -> Result<bool, Unheard> {
        for entry in self.rest.by_ref().take(CHUNK) {
            match entry {
                Ok(entry) => self.names.push((entry.file_name(), entry.file_type())),
                Err(error) => {
                    // The rest of a listing that broke is found by a later scan.
                    batch.push(Entry::Unreadable { path: self.path.clone(), error, ctime_ns: 0 })?;
                    break;
                }
            }
        }
        self.names.sort_unstable_by(|a, b| b.0.cmp(&a.0));
        Ok(!self.names.is_empty())
    }
}

fn special(kind: FileType) -> Skip {
    if kind.is_symlink() {
        Skip::Link
    } else if kind.is_fifo() {
        Skip::Pipe
    } else if kind.is_socket() {
        Skip::Socket
    } else {
        Skip::Device
    }
}

fn is_named_like_an_image(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| IMAGE_ENDINGS.iter().any(|image| ending.eq_ignore_ascii_case(image)))
}
