//! The round commit: a type with two ends, `commit` or `abort`.
//!
//! In: a plan, then epochs, predictions, embeddings and the queue of one round. Out: one marker row, written last; until
//! it stands, nothing of the round is visible. A round that was killed keeps its plan and its lock falls free: the next
//! one to ask resumes it. Rows of a round that has neither marker nor plan are orphans and are removed before its number
//! is used again.

mod progress;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::columns::Timestamp;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::failpoint::FailPoint;
use crate::locks::{Lock, Purpose};
use crate::log::Change;
use crate::pins;
use crate::snapshot::{Snapshot, Versions, noted_versions};
use crate::table::{Table, TableId};
use crate::tables::embeddings::Embedding;
use crate::tables::epochs::Epoch;
use crate::tables::margins::Margin;
use crate::tables::predictions::Prediction;
use crate::tables::projections::Projection;
use crate::tables::queue_entries::QueueEntry;
use crate::tables::rounds::Round;

const PLAN: &str = "plan.json";

/// What the last round left that was given up and whose checkpoint was kept: on this machine only, no part of a backup.
pub(crate) const STOPPED: &str = "checkpoints/stopped";

/// What a round is to do, fixed before it starts, so that it can be resumed or run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundPlan {
    /// Number, from 1.
    pub round: u32,
    /// Method's name.
    pub method: String,
    /// Seed of every random stream.
    pub seed: u64,
    /// The resolved configuration, JSON.
    pub config: String,
    /// The curriculum's SQL texts, JSON.
    pub curriculum: String,
    /// What started it.
    pub trigger: String,
    /// Version of every table that it reads.
    pub read_versions: Versions,
    /// When it was planned.
    pub started_at: Timestamp,
}

/// A round on its way.
pub struct RoundWriter {
    corpus: Corpus,
    plan: RoundPlan,
    snapshot: Arc<Snapshot>,
    lock: Lock,
}

impl RoundWriter {
    /// Plans a new round over what is committed now: takes the round lock, writes the plan, pins what it reads.
    ///
    /// `plan.round`, `plan.read_versions` and `plan.started_at` are filled in here.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process runs a round.
    pub async fn begin(corpus: &Corpus, mut plan: RoundPlan) -> Result<Self> {
        let lock = Lock::take(corpus.home(), Purpose::Round).await?;
        let snapshot = corpus.snapshot().await?;
        plan.round = snapshot.rounds().last().map_or(1, |last| last.round + 1);
        plan.read_versions = snapshot.versions();
        plan.started_at = corpus.log().now();
        let writer = Self { corpus: corpus.clone(), plan, snapshot, lock };
        writer.remove_rows().await?;
        // What a round given up may have left: its training state must not be taken for this one's.
        remove_folder(&writer.folder())?;
        corpus.home().remove_remote(&name(writer.plan.round)).await?;
        writer.write_plan().await?;
        writer.pass(FailPoint::AfterPlan)?;
        writer.pin().await?;
        writer.pass(FailPoint::AfterPin)?;
        Ok(writer)
    }

    /// Takes up the round that was killed before its marker, if there is one.
    pub async fn resume(corpus: &Corpus) -> Result<Option<Self>> {
        let lock = Lock::take(corpus.home(), Purpose::Round).await?;
        let now = corpus.snapshot().await?;
        let next = now.rounds().last().map_or(1, |last| last.round + 1);
        if let Some(last) = now.rounds().last() {
            // Killed between the marker and its pins: the marker stands, so only the pins are missing.
            // A version that is gone meanwhile costs `--at-round` for that round, never the next one.
            if let Err(error) = Self::finish_pins(corpus, last).await {
                tracing::warn!("round {} cannot be looked back at: {error}", last.round);
            }
        }
        let Some(plan) = corpus.read_plan(next).await? else { return Ok(None) };
        let snapshot = match corpus.snapshot_at(&plan.read_versions).await {
            Ok(snapshot) => snapshot,
            Err(Error::Table { source, .. }) if is_gone(&source) => {
                // It was killed before its versions were pinned and they are gone: nothing was trained on them either.
                corpus.home().remove_remote(&name(next)).await?;
                remove_folder(&corpus.path().join(name(next)))?;
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let writer = Self { corpus: corpus.clone(), plan, snapshot, lock };
        writer.pin().await?;
        Ok(Some(writer))
    }

    /// The plan.
    pub fn plan(&self) -> &RoundPlan {
        &self.plan
    }

    /// The tables as the round reads them, from start to end.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Folder for the round's checkpoint and progress.
    pub fn folder(&self) -> PathBuf {
        self.corpus.path().join(name(self.plan.round))
    }

    /// Writes what every epoch measured; what a killed run may have written before is replaced.
    pub async fn write_epochs(&self, epochs: Vec<Epoch>, margins: Vec<Margin>) -> Result<()> {
        self.replace(margins).await?;
        self.replace(epochs).await?;
        self.pass(FailPoint::AfterEpochs)
    }

    /// Writes predictions of a chunk of the pool.
    pub async fn write_predictions(&self, predictions: Vec<Prediction>) -> Result<()> {
        if !predictions.is_empty() {
            self.corpus.writer::<Prediction>().append(predictions).await?;
        }
        self.pass(FailPoint::AfterPredictions)
    }

    /// Writes features of a chunk of the pool. Call it before the chunk's predictions, which count as the progress.
    pub async fn write_embeddings(&self, embeddings: Vec<Embedding>) -> Result<()> {
        if !embeddings.is_empty() {
            self.corpus.writer::<Embedding>().append(embeddings).await?;
        }
        self.pass(FailPoint::AfterEmbeddings)
    }

    /// Writes the top of the queue; what a killed run may have written before is replaced.
    pub async fn write_queue(&self, entries: Vec<QueueEntry>) -> Result<()> {
        self.replace(entries).await?;
        self.pass(FailPoint::AfterQueue)
    }

    /// Writes where faces stand on the round's map; what a killed run may have written before is replaced.
    pub async fn write_projections(&self, projections: Vec<Projection>) -> Result<()> {
        self.replace(projections).await?;
        self.pass(FailPoint::AfterProjections)
    }

    /// Commits the round: its marker is the last thing written, and the round is visible from then on.
    pub async fn commit(self, mut marker: Round) -> Result<Round> {
        self.pass(FailPoint::BeforeMarker)?;
        let plan = &self.plan;
        marker.round = plan.round;
        marker.method.clone_from(&plan.method);
        marker.seed = plan.seed;
        marker.config.clone_from(&plan.config);
        marker.curriculum.clone_from(&plan.curriculum);
        marker.trigger.clone_from(&plan.trigger);
        marker.started_at = plan.started_at;
        marker.finished_at = self.corpus.log().now();
        marker.read_versions = to_json(&plan.read_versions)?;
        let mut written = self.corpus.snapshot().await?.versions();
        marker.written_versions = to_json(&written)?;
        // Pinned before the marker stands, so that no clean-up comes between; `rounds` itself follows it.
        written.remove(&TableId::Rounds);
        self.corpus.pin(&pins::round_tag(plan.round), &written).await?;
        self.corpus.home().push(&name(plan.round)).await?;
        self.lock.check()?;
        // Whatever happened to the lock: a round has one marker.
        let batches = vec![Round::to_batch(std::slice::from_ref(&marker))?];
        let since = self.snapshot.open(TableId::Rounds)?.clone();
        let change = Change::AppendNew { batches, key: "round", since };
        self.corpus.log().commit(TableId::Rounds, change).await?;
        self.pass(FailPoint::AfterMarker)?;
        Self::finish_pins(&self.corpus, &marker).await?;
        if marker.accepted {
            // Features are kept of the latest accepted round only, maps as long as rounds can be looked back at.
            let older = format!("round < {}", marker.round);
            self.delete(TableId::Embeddings, &older).await?;
            let keep = u32::try_from(self.corpus.options().keep_rounds.max(1)).unwrap_or(u32::MAX);
            let older = format!("round <= {}", marker.round.saturating_sub(keep));
            self.delete(TableId::Projections, &older).await?;
        }
        self.lock.release().await;
        Ok(marker)
    }

    /// Gives the round up: its rows, its pins and its folder go, its number is free again.
    pub async fn abort(self) -> Result<()> {
        self.take_back().await?;
        remove_folder(&self.folder())?;
        self.lock.release().await;
        Ok(())
    }

    /// The same, but its folder stays under the name that is returned, in place of what was kept before.
    pub async fn abort_and_keep(self) -> Result<PathBuf> {
        self.take_back().await?;
        let kept = self.corpus.path().join(STOPPED);
        remove_folder(&kept)?;
        std::fs::rename(self.folder(), &kept).map_err(Error::io(&kept))?;
        self.lock.release().await;
        Ok(kept)
    }

    /// Gives up everything but the folder, which goes last: killed before, the round is known and given up again.
    async fn take_back(&self) -> Result<()> {
        self.remove_rows().await?;
        self.corpus.unpin(&pins::read_tag(self.plan.round)).await?;
        self.corpus.unpin(&pins::round_tag(self.plan.round)).await?;
        self.corpus.home().remove_remote(&name(self.plan.round)).await
    }

    /// Pins the state of a committed marker, and lets go of the rounds beyond `keep_rounds`.
    async fn finish_pins(corpus: &Corpus, marker: &Round) -> Result<()> {
        let rounds = corpus.log().latest(TableId::Rounds).await?;
        let kept = pins::kept_rounds(&rounds).await?;
        let pinned = kept.contains(&marker.round);
        if !pinned {
            let mut versions = noted_versions(marker.round, &marker.written_versions)?;
            // `rounds` last: a round counts as pinned once all its tables are.
            versions.remove(&TableId::Rounds);
            let marker_version = Versions::from([(TableId::Rounds, rounds.version().version)]);
            corpus.pin(&pins::round_tag(marker.round), &versions).await?;
            corpus.pin(&pins::round_tag(marker.round), &marker_version).await?;
        }
        let surplus = (kept.len() + usize::from(!pinned)).saturating_sub(corpus.options().keep_rounds.max(1));
        for round in kept.iter().take(surplus) {
            corpus.unpin(&pins::read_tag(*round)).await?;
            corpus.unpin(&pins::round_tag(*round)).await?;
        }
        Ok(())
    }

    async fn pin(&self) -> Result<()> {
        self.corpus.pin(&pins::read_tag(self.plan.round), &self.plan.read_versions).await
    }

    async fn replace<T: Table>(&self, rows: Vec<T>) -> Result<()> {
        self.delete(T::ID, &self.rows_of_round()).await?;
        if !rows.is_empty() {
            self.corpus.writer::<T>().append(rows).await?;
        }
        Ok(())
    }

    async fn remove_rows(&self) -> Result<()> {
        for table in TableId::ALL.iter().filter(|table| table.is_round_scoped()) {
            self.delete(*table, &self.rows_of_round()).await?;
        }
        Ok(())
    }

    /// Deletes where there is something to delete; no version is made for nothing.
    async fn delete(&self, table: TableId, predicate: &str) -> Result<()> {
        let log = self.corpus.log();
        let dataset = log.latest(table).await?;
        let rows = dataset.count_rows(Some(predicate.to_owned())).await.map_err(Error::table(table))?;
        if rows > 0 {
            log.commit(table, Change::Delete(predicate.to_owned())).await?;
        }
        Ok(())
    }

    fn rows_of_round(&self) -> String {
        format!("round = {}", self.plan.round)
    }

    async fn write_plan(&self) -> Result<()> {
        let folder = self.folder();
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        if let Some(parent) = folder.parent() {
            // The folder's own name must last too.
            std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(Error::io(parent))?;
        }
        let text = to_json(&self.plan)?;
        write_whole(&folder.join(PLAN), text.as_bytes())?;
        self.corpus.home().push(&format!("{}/{PLAN}", name(self.plan.round))).await
    }

    fn pass(&self, place: FailPoint) -> Result<()> {
        self.lock.check()?;
        self.corpus.options().fail_points.pass(place)
    }
}

/// Removes a round's folder, the plan last: killed in between, the round is still known and given up again.
fn remove_folder(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(folder)(error)),
    };
    for entry in entries {
        let path = entry.map_err(Error::io(folder))?.path();
        if path.file_name().is_none_or(|name| name != PLAN) {
            std::fs::remove_file(&path).map_err(Error::io(path))?;
        }
    }
    std::fs::remove_dir_all(folder).map_err(Error::io(folder))
}

/// Whether a version was cleaned up, as against not readable just now.
fn is_gone(error: &lance::Error) -> bool {
    matches!(error, lance::Error::NotFound { .. } | lance::Error::DatasetNotFound { .. })
}

impl Corpus {
    /// A round that has a plan but no marker, and may still be resumed.
    pub async fn planned_round(&self, finished: &[Round]) -> Result<Option<u32>> {
        let next = finished.last().map_or(1, |last| last.round + 1);
        Ok(self.read_plan(next).await?.map(|plan| plan.round))
    }

    /// The plan of a round. In an object store it is another machine's where the one in the working folder differs: what that
    /// had trained belongs to a round that was given up.
    async fn read_plan(&self, round: u32) -> Result<Option<RoundPlan>> {
        let folder = self.path().join(name(round));
        let before: Option<RoundPlan> = read_json(&folder.join(PLAN))?;
        if self.home().remote().is_none() {
            return Ok(before);
        }
        let file = format!("{}/{PLAN}", name(round));
        let is_planned = self.home().fetch(&file).await?;
        let plan: Option<RoundPlan> = if is_planned { read_json(&folder.join(PLAN))? } else { None };
        if before.is_some() && before != plan {
            remove_folder(&folder)?;
            self.home().fetch(&file).await?;
        }
        Ok(plan)
    }
}

/// Replaces a file by whole new contents, synced: a reader sees the old or the new, never a part.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    let temporary = path.with_extension("tmp");
    let write = || {
        use std::io::Write;
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        match path.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(Error::io(path))
}

/// Name of a round's folder in the corpus.
fn name(round: u32) -> String {
    format!("checkpoints/round-{round:05}")
}

/// What stands in a file of JSON, if it is there.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| Error::Unreadable { what: path.display().to_string(), source }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path)(error)),
    }
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|source| Error::Unreadable { what: "a record of ours".into(), source })
}
