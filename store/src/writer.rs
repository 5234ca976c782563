//! One writer task per table and process: gather, commit once, sync, answer everyone.
//!
//! In: rows from any number of callers, through a bounded channel (a full one makes callers wait: back-pressure). Out:
//! an acknowledgement to each, after the commit that holds its rows lies on the disk. Fewer, larger commits are the
//! whole art with Lance: every commit rewrites the manifest.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lance::Dataset;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::cadence::Cadence;
use crate::error::{Error, Result};
use crate::locks::Lock;
use crate::log::{Change, Log};
use crate::table::Table;

/// Requests that may wait at one table; beyond that callers wait.
const QUEUE_BOUND: usize = 256;

/// How a table's writer gathers.
#[derive(Clone, Debug)]
pub struct Gather {
    /// How long to wait for company after the first request. Zero: only what came in during the last commit.
    pub window: Duration,
    /// Rows after which the wait ends early.
    pub max_rows: usize,
    /// What is told of every commit, and says when the next one is due.
    pub cadence: Option<Arc<Cadence>>,
}

impl Default for Gather {
    fn default() -> Self {
        Self { window: Duration::ZERO, max_rows: 8192, cadence: None }
    }
}

/// What the caller is told once its rows are safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Version of the table that holds the rows.
    pub version: u64,
    /// For each row whether it was written; false where the table's [`Admit`] knew it already.
    pub written: Vec<bool>,
}

/// Looks at rows just before they are committed. Most tables take all; `faces` refuses known ones.
#[async_trait]
pub trait Admit<T: Table>: Send + 'static {
    /// Which rows to write.
    async fn admit(&mut self, rows: &[T]) -> Result<Admitted>;
    /// Called after the commit of the rows that were let in last, while what the guard holds is still held.
    async fn written(&mut self) -> Result<()>;
}

/// What [`Admit::admit`] decided, and what makes it hold until the commit.
pub struct Admitted {
    /// For each row whether it is written.
    pub written: Vec<bool>,
    /// What keeps other processes out until the commit is done.
    pub guard: Option<Lock>,
    /// Where nothing keeps them out: the key, and the table that was looked at. Rows of the same key that came since make
    /// the commit fail, and it is decided anew.
    pub since: Option<(&'static str, Arc<Dataset>)>,
}

/// Takes every row.
pub struct AdmitAll;

#[async_trait]
impl<T: Table> Admit<T> for AdmitAll {
    async fn admit(&mut self, rows: &[T]) -> Result<Admitted> {
        Ok(Admitted { written: vec![true; rows.len()], guard: None, since: None })
    }
    async fn written(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Request<T> {
    rows: Vec<T>,
    reply: oneshot::Sender<Result<Acknowledged>>,
}

/// The way to append to a table.
pub struct Writer<T> {
    requests: mpsc::Sender<Request<T>>,
}

impl<T> Clone for Writer<T> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone() }
    }
}

impl<T: Table> Writer<T> {
    /// Starts the writer task; it ends when the last handle is dropped.
    pub fn start(log: Arc<dyn Log>, gather: Gather, admit: impl Admit<T>) -> Self {
        let (requests, inbox) = mpsc::channel(QUEUE_BOUND);
        tokio::spawn(Task { log, gather, admit: Box::new(admit) }.run(inbox));
        Self { requests }
    }

    /// Appends rows; returns after they lie on the disk.
    pub async fn append(&self, rows: Vec<T>) -> Result<Acknowledged> {
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::WriterStopped(T::ID);
        self.requests.send(Request { rows, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Gather {
    /// The first request and those that keep it company.
    async fn collect<T>(&self, first: Request<T>, inbox: &mut mpsc::Receiver<Request<T>>) -> Vec<Request<T>> {
        let mut rows = first.rows.len();
        let mut requests = vec![first];
        let begun = Instant::now();
        let due = self.cadence.as_ref().and_then(|cadence| cadence.due());
        let end = due.map_or(begun, |due| due.max(begun)).max(begun + self.window);
        while rows < self.max_rows {
            let next = match inbox.try_recv() {
                Ok(request) => request,
                Err(_) if end == begun => break,
                Err(_) => match tokio::time::timeout_at(end, inbox.recv()).await {
                    Ok(Some(request)) => request,
                    _ => break,
                },
            };
            rows += next.rows.len();
            requests.push(next);
        }
        requests
    }
}

struct Task<T> {
    log: Arc<dyn Log>,
    gather: Gather,
    admit: Box<dyn Admit<T>>,
}

impl<T: Table> Task<T> {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request<T>>) {
        while let Some(first) = inbox.recv().await {
            let requests = self.gather.collect(first, &mut inbox).await;
            if !self.write(requests).await {
                // After a failed sync nothing more is written by this process: what the kernel kept is unknown.
                return;
            }
        }
    }

    /// Commits and answers; false if writing must stop.
    async fn write(&mut self, requests: Vec<Request<T>>) -> bool {
        let mut rows = Vec::new();
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            replies.push((request.rows.len(), request.reply));
            rows.extend(request.rows);
        }
        let conflicts = self.log.conflicts(T::ID);
        if let Some(cadence) = &self.gather.cadence {
            cadence.begin();
        }
        match self.commit(rows).await {
            Ok((version, written)) => {
                let rows = written.iter().filter(|written| **written).count();
                if let Some(cadence) = self.gather.cadence.as_ref().filter(|_| rows > 0) {
                    cadence.committed(rows, self.log.conflicts(T::ID) - conflicts, self.log.now());
                }
                let mut written = written.into_iter();
                for (count, reply) in replies {
                    let written = written.by_ref().take(count).collect();
                    // A caller that went away loses nothing: its rows are written.
                    let _ = reply.send(Ok(Acknowledged { version, written }));
                }
                true
            }
            Err(error) => {
                let goes_on = !matches!(error, Error::Sync { .. });
                let error = Arc::new(error);
                for (_, reply) in replies {
                    let _ = reply.send(Err(Error::Commit { table: T::ID, source: error.clone() }));
                }
                goes_on
            }
        }
    }

    async fn commit(&mut self, rows: Vec<T>) -> Result<(u64, Vec<bool>)> {
        let mut rows = rows;
        let mut written = vec![true; rows.len()];
        loop {
            let admitted = self.admit.admit(&rows).await?;
            let mut now = admitted.written.iter();
            for row in written.iter_mut().filter(|row| **row) {
                *row = *now.next().unwrap_or(&false);
            }
            let mut now = admitted.written.iter();
            rows.retain(|_| *now.next().unwrap_or(&false));
            if rows.is_empty() {
                return Ok((self.log.latest(T::ID).await?.version().version, written));
            }
            let batches = vec![T::to_batch(&rows)?];
            let change = match admitted.since {
                None => {
                    // They are in the batch now, and may be large.
                    rows = Vec::new();
                    Change::Append(batches)
                }
                Some((key, since)) => Change::AppendNew { batches, key, since },
            };
            match self.log.commit(T::ID, change).await {
                Ok(version) => {
                    self.admit.written().await?;
                    // Only now: another process must not take a face for known before it lies on the disk.
                    drop(admitted.guard);
                    return Ok((version, written));
                }
                // Others were first with some of them: which are left?
                Err(Error::Overtaken { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}
