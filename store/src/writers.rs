//! Who writes to the corpus: a small object under `locks/writers` for each process, written anew while it lives.
//!
//! In: what a process is, and what it has committed. Out: the same to whoever asks, and to each process how many share
//! the store's commits with it. Only the pace and what people are shown depend on it: an object that cannot be written
//! is missing there, and the work goes on.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cadence::Done;
use crate::columns::Timestamp;
use crate::corpus::Corpus;
use crate::error::Result;
use crate::home::host;
use crate::lease::EXPIRES;
use crate::objects::Objects;
use crate::table::TableId;

const FOLDER: &str = "locks/writers";

/// How often a process says that it is there.
const RENEWS: Duration = Duration::from_secs(10);

/// Age from which the object of one that says so no more is removed.
const REMOVED: Duration = Duration::from_secs(3600);

/// How long a process that leaves waits for the store at most.
const LEAVES: Duration = Duration::from_secs(5);

/// Looks that the rate of faces is measured over: a minute.
const LOOKS: usize = 6;

/// A process that writes to the corpus, or did until lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WritingProcess {
    /// Its machine.
    pub host: String,
    /// Its number there.
    pub process: u32,
    /// What it does: `ingest`, `run` and so on.
    pub work: String,
    /// Since when.
    pub started_at: Timestamp,
    /// Faces committed.
    pub faces: u64,
    /// The same a minute, over the last minute.
    pub faces_per_minute: f64,
    /// Commits of faces.
    pub commits: u64,
    /// How often its commits, of whatever table, met another process's and were tried again.
    pub conflicts: u64,
    /// The last commit of faces.
    pub last_commit_at: Option<Timestamp>,
    /// Seconds since it last said that it is there, by the clock of whoever asks; a process that lives says so every
    /// 10.
    #[serde(default)]
    pub silent_seconds: u64,
}

/// This process is among those that write, until it leaves; one that dies falls silent.
pub struct Announced {
    corpus: Corpus,
    name: String,
    leaving: CancellationToken,
    renewal: JoinHandle<()>,
}

impl Announced {
    /// It writes no more.
    pub async fn leave(mut self) {
        self.leaving.cancel();
        let removed = async {
            // What is being written just now would bring the object back.
            let _ = (&mut self.renewal).await;
            self.corpus.objects().await?.remove(&self.name).await
        };
        if !matches!(tokio::time::timeout(LEAVES, removed).await, Ok(Ok(()))) {
            tracing::debug!("{} stays for a while", self.name);
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Corpus {
    /// Puts this process among those that write; `work` says what it does.
    pub fn announce(&self, work: &str) -> Announced {
        let (host, process) = (host(), std::process::id());
        let name = format!("{FOLDER}/{host}-{process}-{:08x}.json", rand::random::<u32>());
        let started_at = self.log().now();
        let looks = VecDeque::from([(Instant::now(), self.cadence().done().faces)]);
        let mut voice =
            Voice { corpus: self.clone(), name: name.clone(), host, process, work: work.to_owned(), started_at, looks };
        let leaving = CancellationToken::new();
        let left = leaving.clone();
        let renewal = tokio::spawn(async move {
            while !left.is_cancelled() {
                if let Err(error) = voice.renew().await {
                    tracing::debug!("this process is not shown among those that write: {error}");
                }
                let _ = tokio::time::timeout(RENEWS, left.cancelled()).await;
            }
        });
        Announced { corpus: self.clone(), name, leaving, renewal }
    }

    /// Processes that write to the corpus or did within the last hour, by host and number.
    pub async fn writing_processes(&self) -> Result<Vec<WritingProcess>> {
        let objects = self.objects().await?;
        let mut processes = Vec::new();
        for (name, meta) in objects.list(FOLDER).await? {
            let Some(text) = objects.get(&name).await? else { continue };
            // Of another version of this program.
            let Ok(mut process) = serde_json::from_slice::<WritingProcess>(&text) else { continue };
            let silent = self.log().now().0.saturating_sub(meta.last_modified.timestamp_micros());
            process.silent_seconds = u64::try_from(silent / 1_000_000).unwrap_or(0);
            processes.push(process);
        }
        processes.sort_by(|a, b| (&a.host, a.process).cmp(&(&b.host, b.process)));
        Ok(processes)
    }
}

/// What says that a process is there.
struct Voice {
    corpus: Corpus,
    name: String,
    host: String,
    process: u32,
    work: String,
    started_at: Timestamp,
    /// Faces committed at the last looks, the oldest first.
    looks: VecDeque<(Instant, u64)>,
}

impl Voice {
    async fn renew(&mut self) -> Result<()> {
        let objects = self.corpus.objects().await?;
        let text = serde_json::to_vec(&self.process()).unwrap_or_default();
        objects.put(&self.name, &text).await?;
        let writers = living(&objects, &self.name).await?;
        self.corpus.cadence().share(writers);
        Ok(())
    }

    fn process(&mut self) -> WritingProcess {
        let Done { commits, faces, last_commit_at } = self.corpus.cadence().done();
        let before = self.looks.front().copied().unwrap_or((Instant::now(), faces));
        self.looks.push_back((Instant::now(), faces));
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        WritingProcess {
            host: self.host.clone(),
            process: self.process,
            work: self.work.clone(),
            started_at: self.started_at,
            faces,
            faces_per_minute: 60.0 * (faces - before.1) as f64 / before.0.elapsed().as_secs_f64().max(1.0),
            commits,
            conflicts: TableId::ALL.iter().map(|table| self.corpus.log().conflicts(*table)).sum(),
            last_commit_at,
            silent_seconds: 0,
        }
    }
}

/// How many processes live, by the store's own clock: `name` was written just now. Those long dead are removed.
async fn living(objects: &Objects, name: &str) -> Result<usize> {
    let all = objects.list(FOLDER).await?;
    let Some(now) = all.iter().find(|(other, _)| other == name).map(|(_, meta)| meta.last_modified) else {
        return Ok(1);
    };
    let mut living = 0;
    for (other, meta) in &all {
        let age = (now - meta.last_modified).to_std().unwrap_or(Duration::ZERO);
        living += usize::from(age <= EXPIRES);
        if age > REMOVED {
            objects.remove(other).await?;
        }
    }
    Ok(living)
}
