//! File locks under the corpus: who writes, who cleans up, who runs the round, who owns the queue.
//!
//! In: a corpus folder and a purpose. Out: a guard that lets go when it is dropped, or when its process dies, which is
//! why these are `flock`s and not files with a process number in them. Every commit holds `writers` shared, from before its
//! files are written until they are committed; clean-up, orphan sweep and repair take it exclusively: they never meet a
//! half-written commit, of this process or another.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, Result};

/// What a lock protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Held shared around every commit.
    Writers,
    /// Held exclusively by the one process that compacts and indexes.
    Maintenance,
    /// Held for the moment between the look for a known face and the commit of a new one.
    Faces,
    /// Held by the process that runs a round.
    Round,
    /// Held by the process that hands out the queue.
    Queue,
    /// Held by the process that makes a backup.
    Backup,
    /// Held by the process that reads everything back.
    Verify,
}

impl Purpose {
    fn file(self) -> &'static str {
        match self {
            Purpose::Writers => "writers.lock",
            Purpose::Maintenance => "maintenance.lock",
            Purpose::Faces => "faces.lock",
            Purpose::Round => "round.lock",
            Purpose::Queue => "queue.lock",
            Purpose::Backup => "backup.lock",
            Purpose::Verify => "verify.lock",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Purpose::Writers => "the right to write",
            Purpose::Maintenance => "maintenance",
            Purpose::Faces => "the admission of faces",
            Purpose::Round => "the training round",
            Purpose::Queue => "the queue",
            Purpose::Backup => "the backup",
            Purpose::Verify => "verification",
        }
    }
}

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    purpose: Purpose,
}

impl Lock {
    /// Waits for a shared lock. Blocking: call it off the async threads, or where the wait is known to be short.
    pub fn shared(corpus: &Path, purpose: Purpose) -> Result<Self> {
        let lock = Self::open(corpus, purpose)?;
        lock.operate(FlockOperation::LockShared)?;
        Ok(lock)
    }

    /// Waits for the exclusive lock. Blocking, as [`Lock::shared`].
    pub fn exclusive(corpus: &Path, purpose: Purpose) -> Result<Self> {
        let lock = Self::open(corpus, purpose)?;
        lock.operate(FlockOperation::LockExclusive)?;
        Ok(lock)
    }

    /// The exclusive lock if nobody holds it; [`Error::Locked`] otherwise.
    pub fn try_exclusive(corpus: &Path, purpose: Purpose) -> Result<Self> {
        let lock = Self::open(corpus, purpose)?;
        lock.operate(FlockOperation::NonBlockingLockExclusive)?;
        Ok(lock)
    }

    /// As [`Lock::shared`], on a thread that may wait.
    pub async fn shared_async(corpus: &Path, purpose: Purpose) -> Result<Self> {
        let corpus = corpus.to_owned();
        waiting(move || Self::shared(&corpus, purpose)).await
    }

    /// As [`Lock::exclusive`], on a thread that may wait.
    pub async fn exclusive_async(corpus: &Path, purpose: Purpose) -> Result<Self> {
        let corpus = corpus.to_owned();
        waiting(move || Self::exclusive(&corpus, purpose)).await
    }

    fn open(corpus: &Path, purpose: Purpose) -> Result<Self> {
        let folder = corpus.join("locks");
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let path = folder.join(purpose.file());
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::io(&path))?;
        Ok(Self { file, path, purpose })
    }

    fn operate(&self, operation: FlockOperation) -> Result<()> {
        loop {
            match flock(&self.file, operation) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Error::Locked { what: self.purpose.what(), path: self.path.clone() });
                }
                Err(errno) => return Err(Error::Io { path: self.path.clone(), source: errno.into() }),
            }
        }
    }
}

async fn waiting(take: impl FnOnce() -> Result<Lock> + Send + 'static) -> Result<Lock> {
    match tokio::task::spawn_blocking(take).await {
        Ok(lock) => lock,
        Err(join) => Err(Error::Internal { what: format!("lock task: {join}") }),
    }
}
