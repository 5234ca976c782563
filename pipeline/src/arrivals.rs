//! New faces are scored as they arrive, so that each is in the queue a moment after its file closed.
//!
//! In: faces just committed, through a bounded channel. Out: rows of `predictions` under the current round. What the
//! channel could not take, what came while a round trained, and what other processes ingested is caught up with by a
//! query; the tables are the truth, the channel only saves the query.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use marginalia_store::tables::embeddings::Embedding;
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::predictions::Prediction;
use marginalia_store::{Corpus, Session, SqlLimits, SqlRuntime, TableId};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::computing::on_computing_thread;
use crate::console::Opened;
use crate::error::Result;
use crate::events::Event;
use crate::report::Reporter;
use crate::teacher::Teacher;

/// Faces that may wait to be scored.
const WAITING: usize = 1024;

/// Ids that one query for unscored faces brings: it reads the whole pool, so that it should not be asked often.
const MISSING: usize = 16 * 1024;

/// Faces scored and committed together.
const BATCH: usize = 256;

/// How often to look whether another round is the current one.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A face that has just come in.
type Arrival = (String, Vec<u8>);

/// The way in: cheap to clone.
#[derive(Clone)]
pub struct Arrivals {
    faces: mpsc::Sender<Arrival>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// There is a teacher that could score.
    has_teacher: AtomicBool,
    /// Some faces were not sent on: the query has to find them.
    behind: AtomicBool,
}

impl Arrivals {
    /// Copies of the faces, if anybody will want them after the commit.
    pub fn keep(&self, faces: &[Face]) -> Option<Vec<Arrival>> {
        let wanted = self.state.has_teacher.load(Ordering::Relaxed) && faces.len() <= self.faces.capacity();
        wanted.then(|| faces.iter().map(|face| (face.face_id.clone(), face.image.clone())).collect())
    }

    /// Tells of faces that were committed; `written` says which of them are new. Never waits.
    pub fn announce(&self, kept: Option<Vec<Arrival>>, written: &[bool]) {
        let Some(kept) = kept else {
            self.state.behind.store(true, Ordering::Relaxed);
            return;
        };
        for (arrival, _) in kept.into_iter().zip(written).filter(|(_, new)| **new) {
            if self.faces.try_send(arrival).is_err() {
                self.state.behind.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Scores arrivals until it is told to stop.
pub struct ArrivalScorer {
    corpus: Corpus,
    sql: SqlRuntime,
    reporter: Reporter,
    /// Threads that score; 0: all cores.
    threads: usize,
    faces: mpsc::Receiver<Arrival>,
    state: Arc<State>,
    teacher: Option<Teacher>,
    /// Versions of the faces and of the rounds at the last look.
    seen: (Option<u64>, Option<u64>),
    /// True while a round trains here: it needs the cores.
    training: watch::Receiver<bool>,
}

#[derive(Deserialize)]
struct FaceId {
    face_id: String,
}

impl ArrivalScorer {
    /// A scorer and the way in to it.
    pub fn new(opened: &Opened, reporter: &Reporter, training: watch::Receiver<bool>) -> (Arrivals, Self) {
        let (send, faces) = mpsc::channel(WAITING);
        let state = Arc::new(State::default());
        let scorer = Self {
            corpus: opened.corpus.clone(),
            sql: opened.sql.clone(),
            reporter: reporter.clone(),
            threads: opened.config.train.threads,
            faces,
            state: state.clone(),
            teacher: None,
            seen: (None, None),
            training,
        };
        (Arrivals { faces: send, state }, scorer)
    }

    /// Runs until the token is cancelled.
    pub async fn run(mut self, token: CancellationToken) -> Result<()> {
        let mut batch = Vec::with_capacity(BATCH);
        let look_every = self.corpus.home().look_every(LOOK_EVERY);
        loop {
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                received = self.faces.recv_many(&mut batch, BATCH) => if received == 0 { return Ok(()) },
                () = tokio::time::sleep(look_every) => {}
            }
            if *self.training.borrow() {
                if !batch.is_empty() {
                    self.state.behind.store(true, Ordering::Relaxed);
                    batch.clear();
                }
                continue;
            }
            let (faces, rounds) = (self.version(TableId::Faces).await?, self.version(TableId::Rounds).await?);
            let (seen_faces, seen_rounds) = std::mem::replace(&mut self.seen, (faces, rounds));
            if seen_faces != faces && batch.is_empty() {
                // Faces that did not come through the channel: another process ingests.
                self.state.behind.store(true, Ordering::Relaxed);
            }
            if seen_rounds != rounds && self.refresh().await? {
                // Everything scored by the teacher before is unscored by this one, and first in line.
                self.state.behind.store(true, Ordering::Relaxed);
            }
            self.score(std::mem::take(&mut batch)).await?;
            if self.teacher.is_some() && self.state.behind.swap(false, Ordering::Relaxed) {
                self.catch_up(&token).await?;
            }
        }
    }

    async fn version(&self, table: TableId) -> Result<Option<u64>> {
        Ok(Some(self.corpus.log().latest(table).await?.version().version))
    }

    /// Loads the teacher of the current round if it is another one; says whether it was.
    async fn refresh(&mut self) -> Result<bool> {
        let snapshot = self.corpus.snapshot().await?;
        let Some(round) = snapshot.current() else { return Ok(false) };
        if self.teacher.as_ref().is_some_and(|teacher| teacher.round() == round.round) {
            return Ok(false);
        }
        let folder = self.corpus.checkpoint(round).await?;
        let (number, classes, temperature) = (round.round, self.corpus.classes().to_vec(), round.temperature);
        let threads = self.threads;
        let load = move || Teacher::load(&folder, number, &classes, temperature, threads);
        // The threads it scores on are started by this one.
        self.teacher = Some(on_computing_thread(load).await??);
        self.state.has_teacher.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// Scores and stores; returns how many faces there were to score.
    async fn score(&self, faces: Vec<Arrival>) -> Result<usize> {
        let Some(teacher) = self.teacher.as_ref().filter(|_| !faces.is_empty()) else { return Ok(0) };
        let mut scored = teacher.score(faces).await?;
        // A face may have been forgotten while it waited here.
        let ids: Vec<&str> = scored.predictions.iter().map(|prediction| prediction.face_id.as_str()).collect();
        let forgotten = self.corpus.forgotten(&ids).await?;
        let mut kept = forgotten.iter();
        scored.predictions.retain(|_| kept.next() == Some(&false));
        let mut kept = forgotten.iter();
        scored.embeddings.retain(|_| kept.next() == Some(&false));
        for prediction in &scored.predictions {
            self.reporter.emit(Event::FaceScored {
                face_id: prediction.face_id.clone(),
                expression: prediction.expression.clone(),
                confidence: f64::from(prediction.confidence),
                margin: f64::from(prediction.margin),
                subset: prediction.subset.clone(),
                round: prediction.round,
            });
        }
        if !scored.predictions.is_empty() {
            self.corpus.writer::<Embedding>().append(scored.embeddings).await?;
            let rows = scored.predictions.len();
            self.corpus.writer::<Prediction>().append(scored.predictions).await?;
            return Ok(rows);
        }
        Ok(0)
    }

    /// Scores every face of the pool that the current teacher has not seen.
    async fn catch_up(&mut self, token: &CancellationToken) -> Result<()> {
        loop {
            let snapshot = self.corpus.snapshot().await?;
            let session = Session::open(&self.sql, snapshot.clone(), SqlLimits::default()).await?;
            let sql = format!("select face_id from unlabelled where round is null limit {MISSING}");
            let missing: Vec<FaceId> = session.query_trusted(&sql, Vec::new()).await?.rows().await?;
            let before = missing.len();
            let ids: Vec<String> = missing.into_iter().map(|row| row.face_id).collect();
            let places = snapshot.places(&ids).await?;
            let mut scored = 0;
            for (ids, places) in ids.chunks(BATCH).zip(places.chunks(BATCH)) {
                if token.is_cancelled() || *self.training.borrow() {
                    self.state.behind.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                let images = snapshot.images(places).await?;
                scored += self.score(ids.iter().cloned().zip(images).collect()).await?;
            }
            // Faces that do not decode any more stay unscored: another pass would not change that.
            if before < MISSING || scored == 0 {
                return Ok(());
            }
        }
    }
}
