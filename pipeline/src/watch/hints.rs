//! Hints: where something may have happened. They may come late, twice, merged, or not at all.
//!
//! A source of hints writes into an [`Inbox`], which holds at most one hint for a path and [`HINTS`] paths. Beyond that
//! it only remembers that hints were lost, and the driver scans everything instead.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Paths with a hint that may wait: a few MB, and more than arrive while one batch is handled.
const HINTS: usize = 16_384;
/// Files known to be open for writing. Beyond, one is merely taken earlier, and again when it is closed.
const WRITING: usize = 4096;

/// Where hints come from.
pub trait Hints: Send + 'static {
    /// Watches `roots` too (folders with all that is in them now, or files) and writes into `inbox` what happens there from
    /// now on. Called before anything is scanned: with all roots first and whenever hints were lost, and with each folder
    /// that appears. Watching ends when the source is dropped. May take as long as a walk over the folders.
    fn watch(&mut self, roots: &[PathBuf], inbox: &Inbox) -> Result<(), NoHints>;
}

/// Why there are no hints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoHints(pub String);

/// What may have happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintKind {
    /// Something: it appeared, or its metadata changed.
    Touched,
    /// It is open for writing; that it is closed will be said too.
    Writing,
    /// Its writer closed it, or it was renamed into place.
    Complete,
    /// The caller asks for it again, although it was sent before.
    Again,
}

/// Where hints wait for the driver; clones share it.
#[derive(Clone, Default)]
pub struct Inbox {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    bell: Notify,
}

/// What waits.
#[derive(Default)]
pub(super) struct Waiting {
    /// One hint for a path.
    pub hints: HashMap<PathBuf, HintKind>,
    /// Whether hints were lost.
    pub lost: bool,
    /// Why no more will come, once that is so.
    pub gone: Option<NoHints>,
    /// Whether the driver has ended.
    closed: bool,
    /// Files open for writing, so that a file renamed while it is written is not taken for complete.
    writing: HashSet<PathBuf>,
}

impl Inbox {
    /// Something may have happened to `path`.
    pub fn hint(&self, path: PathBuf, kind: HintKind) {
        let mut waiting = self.lock();
        match kind {
            HintKind::Writing if waiting.writing.len() < WRITING => {
                waiting.writing.insert(path.clone());
            }
            HintKind::Complete => {
                waiting.writing.remove(&path);
            }
            _ => {}
        }
        waiting.add(path, kind);
        self.ring(waiting);
    }

    /// `from` is now called `to`.
    pub fn renamed(&self, from: &PathBuf, to: PathBuf) {
        let mut waiting = self.lock();
        let kind = if waiting.writing.remove(from) {
            waiting.writing.insert(to.clone());
            HintKind::Writing
        } else {
            HintKind::Complete
        };
        waiting.add(to, kind);
        self.ring(waiting);
    }

    /// Hints were lost: everything has to be scanned.
    pub fn lost(&self) {
        let mut waiting = self.lock();
        waiting.lost = true;
        waiting.writing.clear();
        self.ring(waiting);
    }

    /// No more hints will come.
    pub fn gone(&self, why: NoHints) {
        let mut waiting = self.lock();
        waiting.gone.get_or_insert(why);
        self.ring(waiting);
    }

    /// Whether nobody takes hints any more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The driver has ended.
    pub(super) fn close(&self) {
        *self.lock() = Waiting { closed: true, ..Waiting::default() };
    }

    /// Takes everything that waits, or waits for something.
    pub(super) async fn take(&self) -> Waiting {
        loop {
            let bell = self.shared.bell.notified();
            {
                let mut waiting = self.lock();
                if waiting.lost || waiting.gone.is_some() || !waiting.hints.is_empty() {
                    let writing = std::mem::take(&mut waiting.writing);
                    let taken = std::mem::take(&mut *waiting);
                    waiting.writing = writing;
                    return taken;
                }
            }
            bell.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every change leaves the set usable, so a panic elsewhere is no reason to stop.
        self.shared.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, waiting: MutexGuard<'_, Waiting>) {
        drop(waiting);
        self.shared.bell.notify_one();
    }
}

impl Waiting {
    fn add(&mut self, path: PathBuf, kind: HintKind) {
        if self.closed {
            return;
        }
        if let Some(held) = self.hints.get_mut(&path) {
            // The last word counts, except that a mere touch says nothing about whether the file is complete.
            if kind != HintKind::Touched {
                *held = kind;
            }
        } else if self.hints.len() < HINTS {
            self.hints.insert(path, kind);
        } else {
            self.lost = true;
        }
    }
}
