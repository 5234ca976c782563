//! The watcher: folders come in, the files to take go out, each once and whole.
//!
//! **The scan is the truth, change notices are hints.** A scan walks every folder; notices only say where to look sooner.
//! Nothing depends on a notice: when they overflow, stop, or never come (network folders), the next scan finds the same
//! files. What was taken before is asked of the caller's memory ([`AlreadySeen`]), so the watcher keeps no list of files;
//! every set and queue in here has a bound, and a slow caller slows the watcher instead of filling memory.
//!
//! Data flows [`Hints`] and `scan` → `settle` (is the file complete?) → memory (is it new?) → [`Found`] → [`take`].

mod delivery;
mod driver;
mod filesystem;
mod hints;
mod ignore;
mod memory;
mod notices;
mod scan;
mod settle;
mod taking;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::delivery::Delivery;
use self::driver::Driver;
pub use self::hints::{HintKind, Hints, Inbox, NoHints};
use self::ignore::Ignore;
use self::notices::Notices;
use self::settle::Settling;
pub use self::taking::{Taken, take};
use crate::config::{IngestConfig, Poll};
use crate::error::{Error, Result};

/// Files that may wait for the caller: enough for a batch, little enough that a fresh file is not long behind them.
const QUEUE: usize = 1024;

/// One state of one file; any change of its content makes another key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// When its content last changed.
    pub mtime: SystemTime,
    /// Its inode, which tells a file from one that replaced it.
    pub inode: u64,
}

/// What the watcher found.
#[derive(Debug)]
pub enum Found {
    /// A complete file that is new or has changed: to be read with [`take`].
    File(FileKey),
    /// An entry that is no input.
    Skipped {
        /// Where.
        path: PathBuf,
        /// Why.
        why: Skip,
    },
    /// A file or folder that cannot be read. It is looked at again when it changes, so the caller must not remember it as
    /// taken.
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A walk over everything is done, and every complete file it met has been sent.
    ScanComplete {
        /// Files met, those taken before included.
        files: u64,
    },
    /// There are no change notices from here on; the folders are polled.
    Degraded {
        /// Why, and what to do.
        why: String,
    },
}

/// Why an entry is no input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Its name is on the ignore list.
    Ignored,
    /// A symbolic link: links are never followed, so none can lead out of the folder or in circles.
    Link,
    /// A folder that is named like an image; what lies in it is looked at.
    Folder,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device.
    Device,
    /// A folder nested too deep.
    TooDeep,
    /// Still being written when a single scan had waited long enough.
    StillWriting,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ignored => "name on the ignore list",
            Self::Link => "symbolic link, not followed",
            Self::Folder => "folder named like an image",
            Self::Pipe => "named pipe",
            Self::Socket => "socket",
            Self::Device => "device",
            Self::TooDeep => "folders nested too deep",
            Self::StillWriting => "still being written",
        })
    }
}

/// The caller's memory of what it has taken.
pub trait AlreadySeen: Send + Sync + 'static {
    /// For every key, whether exactly this state of this file was taken before. Answers in order.
    fn seen(&self, batch: &[FileKey]) -> impl Future<Output = Vec<bool>> + Send;
}

/// How to watch.
#[derive(Clone, Debug)]
pub struct WatchSettings {
    /// Stillness after which a file counts as complete.
    pub settle: Duration,
    /// Pause between two full scans.
    pub scan_every: Duration,
    /// Whether to poll.
    pub poll: Poll,
    /// Pause between two full scans while polling.
    pub poll_every: Duration,
    /// Names that are passed over, with `*` and `?`.
    pub ignore: Vec<String>,
    /// Whether to go on after the first scan. If not, the watcher ends once everything it met is complete and sent.
    pub watch: bool,
}

impl WatchSettings {
    /// The settings of `[ingest]`.
    pub fn new(config: &IngestConfig, watch: bool) -> Self {
        Self {
            settle: Duration::from_millis(config.settle_ms),
            scan_every: Duration::from_secs(config.scan_every_seconds),
            poll: config.poll,
            poll_every: Duration::from_secs(config.poll_every_seconds),
            ignore: config.ignore.clone(),
            watch,
        }
    }
}

/// Watches folders and files until it is dropped or its token is cancelled.
pub struct Watcher {
    found: mpsc::Receiver<Found>,
    again: Again,
    /// Ends the driver with the watcher.
    _stop: tokio_util::sync::DropGuard,
}

impl Watcher {
    /// Starts to watch `roots`, with the system's change notices where the settings want them. Call inside the runtime.
    pub fn new(
        roots: &[PathBuf],
        settings: WatchSettings,
        seen: impl AlreadySeen,
        token: CancellationToken,
    ) -> Result<Self> {
        let notices = Notices::new(Ignore::new(&settings.ignore));
        Self::with_hints(roots, settings, Box::new(notices), seen, token)
    }

    /// As [`Watcher::new`], with another source of hints.
    pub fn with_hints(
        roots: &[PathBuf],
        settings: WatchSettings,
        hints: Box<dyn Hints>,
        seen: impl AlreadySeen,
        token: CancellationToken,
    ) -> Result<Self> {
        let roots = resolve(roots)?;
        let (send, found) = mpsc::channel(QUEUE);
        let inbox = Inbox::default();
        let again = Again { inbox: inbox.clone() };
        let stop = token.child_token();
        let delivery = Delivery::new(Settling::new(settings.settle), seen, send, stop.clone());
        tokio::spawn(Driver::new(roots, settings, hints, inbox, delivery, stop.clone()).run());
        Ok(Self { found, again, _stop: stop.drop_guard() })
    }

    /// The next thing found; none once the watcher has ended.
    pub async fn next(&mut self) -> Option<Found> {
        self.found.recv().await
    }

    /// Hands files back that [`take`] found changed.
    pub fn again(&self) -> Again {
        self.again.clone()
    }
}

/// Asks the watcher to look at a file again; cheap to clone, never waits.
#[derive(Clone)]
pub struct Again {
    inbox: Inbox,
}

impl Again {
    /// The file at `path` was not what was found there: it is sent again once it is complete. False where the watcher has
    /// ended, as it does after a single scan: then the file stays out, and the caller says so.
    pub fn look(&self, path: PathBuf) -> bool {
        let open = !self.inbox.is_closed();
        self.inbox.hint(path, HintKind::Again);
        open
    }
}

/// Absolute roots without links in their own path, sorted, none inside another: so that a file has one path, however it
/// was reached.
fn resolve(roots: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if roots.is_empty() {
        return Err(Error::NoInput);
    }
    let mut resolved = Vec::with_capacity(roots.len());
    for root in roots {
        resolved.push(root.canonicalize().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::MissingInput { path: root.clone() },
            _ => Error::Io { path: root.clone(), source },
        })?);
    }
    resolved.sort();
    resolved.dedup_by(|inner, outer| inner.starts_with(&*outer));
    Ok(resolved)
}
