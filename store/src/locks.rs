//! Locks under the corpus: who writes, who cleans up, who runs the round, who owns the queue.
//!
//! In: a corpus and a purpose. Out: a guard that lets go when it is dropped, or when its process dies, which is
//! why these are `flock`s and not files with a process number in them. Every commit holds `writers` shared, from before
//! its files are written until they are committed; orphan sweep, repair and a clean-up of young files take it
//! exclusively: they never meet a half-written commit, of this process or another. In an object store the roles that one
//! process has at a time are leases besides; nothing that a living writer there may need is ever removed, so writers
//! need none.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::error::{Error, Result};
use crate::home::Home;
use crate::lease::Lease;

/// How often a lock that is held is tried again.
const ASKS_EVERY: Duration = Duration::from_millis(1);

/// What a lock protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Held shared around every commit.
    Writers,
    /// Held for the moment in which a writer takes its lock, and by whoever is to go before the writers that come next.
    Turn,
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
    /// Held by the process that runs an experiment.
    Experiment,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Purpose::Writers => "writers",
            Purpose::Turn => "turn",
            Purpose::Maintenance => "maintenance",
            Purpose::Faces => "faces",
            Purpose::Round => "round",
            Purpose::Queue => "queue",
            Purpose::Backup => "backup",
            Purpose::Verify => "verify",
            Purpose::Experiment => "experiment",
        }
    }

    fn what(self) -> &'static str {
        match self {
            Purpose::Writers => "the right to write",
            Purpose::Turn => "a place among the writers",
            Purpose::Maintenance => "maintenance",
            Purpose::Faces => "the admission of faces",
            Purpose::Round => "the training round",
            Purpose::Queue => "the queue",
            Purpose::Backup => "the backup",
            Purpose::Verify => "verification",
            Purpose::Experiment => "the experiment",
        }
    }
}

/// A held lock.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    purpose: Purpose,
    lease: Option<Lease>,
}

impl Lock {
    /// Takes a role that one process has at a time, on all machines.
    ///
    /// # Errors
    /// [`Error::Locked`] or [`Error::Leased`] while another has it.
    pub async fn take(home: &Home, purpose: Purpose) -> Result<Self> {
        let mut lock = Self::try_exclusive(home.folder(), purpose)?;
        if let Some(remote) = home.remote() {
            let machine = home.machine()?;
            lock.lease = Some(Lease::take(remote, purpose.name(), purpose.what(), &machine).await?);
        }
        Ok(lock)
    }

    /// Makes sure that the role is still this process's, before what only it may do.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] where it slept for too long.
    pub fn check(&self) -> Result<()> {
        self.lease.as_ref().map_or(Ok(()), Lease::check)
    }

    /// Lets go. Dropping it does the same, but on another machine the role may then stay taken until its lease runs out.
    pub async fn release(self) {
        if let Some(lease) = self.lease {
            lease.release().await;
        }
    }

    /// Waits for the exclusive lock. Blocking: call it off the async threads, or where the wait is known to be short.
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

    /// As [`Lock::exclusive`], on a thread that may wait.
    pub async fn exclusive_async(corpus: &Path, purpose: Purpose) -> Result<Self> {
        let corpus = corpus.to_owned();
        waiting(move || Self::exclusive(&corpus, purpose)).await
    }

    /// Waits for the lock of a writer, who shares it with the others.
    pub async fn writer(corpus: &Path) -> Result<Self> {
        let corpus = corpus.to_owned();
        waiting(move || {
            let lock = Self::open(&corpus, Purpose::Writers)?;
            let turn = Self::open(&corpus, Purpose::Turn)?;
            turn.operate(FlockOperation::LockShared)?;
            lock.operate(FlockOperation::LockShared)?;
            Ok(lock)
        })
        .await
    }

    /// The writers' lock for this one alone, before all writers that come from now on; none where those that hold it keep
    /// it for longer than `wait`.
    pub async fn before_writers(corpus: &Path, wait: Duration) -> Result<Option<Self>> {
        let lock = Self::open(corpus, Purpose::Writers)?;
        let _turn = Self::exclusive_async(corpus, Purpose::Turn).await?;
        let asked = Instant::now();
        loop {
            match lock.operate(FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(lock)),
                Err(error) if error.is_locked() && asked.elapsed() < wait => tokio::time::sleep(ASKS_EVERY).await,
                Err(error) if error.is_locked() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn open(corpus: &Path, purpose: Purpose) -> Result<Self> {
        let folder = corpus.join("locks");
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let path = folder.join(format!("{}.lock", purpose.name()));
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::io(&path))?;
        Ok(Self { file, path, purpose, lease: None })
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
