//! `ingest`: files in folders become faces, as they come.
//!
//! In: folders. Out: rows of `faces`, `sightings` and `rejects`, acknowledged batch by batch, and new faces handed on to
//! be scored. Three stages, each bounded: the watcher finds, all cores read and admit, one task commits; a slow commit
//! slows the watcher instead of filling memory. Nothing that is wrong with a file stops the stream.

mod memory;
mod window;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use marginalia_datasets::{Limits, Reason, Record, encode_path};
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::rejects::Reject;
use marginalia_store::tables::sightings::Sighting;
use marginalia_store::{Corpus, Timestamp};
use rayon::prelude::*;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::admitting::{Admitted, BATCH_BYTES, Refused, admit_batch, refuse_forgotten, reject_row};
use crate::arrivals::Arrivals;
use crate::config::IngestConfig;
use crate::error::{Error, Result};
use crate::events::{Event, IngestCounts};
use crate::import::sighting_row;
use crate::report::Reporter;
use crate::watch::{Again, FileKey, Found, Taken, WatchSettings, Watcher, take};

use memory::Memory;
use window::Window;

/// Batches that are being read while one is committed.
const BATCHES_AHEAD: usize = 1;

/// Files of the first batch: small, so that the cores have something to do while the next is gathered; each further one is
/// twice as large, up to the setting.
const FIRST_BATCH: usize = 512;

/// How often a stream that waits for room looks for it.
const ROOM_EVERY: Duration = Duration::from_secs(2);

/// What to ingest.
#[derive(Clone, Debug)]
pub struct IngestRequest {
    /// Folders or files.
    pub paths: Vec<PathBuf>,
    /// Name that their faces get as `stream`.
    pub stream: String,
    /// Whether to go on after the first scan.
    pub watch: bool,
}

/// What ingest works with.
#[derive(Clone)]
pub struct IngestContext {
    /// Where faces go.
    pub corpus: Corpus,
    /// Settings.
    pub config: IngestConfig,
    /// Who hears of it.
    pub reporter: Reporter,
    /// Told when to stop.
    pub token: CancellationToken,
    /// Who scores new faces, if anybody does.
    pub arrivals: Option<Arrivals>,
}

/// Ingests until everything is in, or, watching, until the token is cancelled.
pub async fn ingest(context: &IngestContext, request: &IngestRequest) -> Result<IngestCounts> {
    let started = Instant::now();
    let settings = WatchSettings::new(&context.config, request.watch);
    let watcher = Watcher::new(&request.paths, settings, Memory::new(&context.corpus), context.token.clone())?;
    context.reporter.emit(Event::IngestStarted {
        paths: request.paths.iter().map(|path| path.display().to_string()).collect(),
        stream: request.stream.clone(),
        watching: request.watch,
    });
    let (batches, inbox) = mpsc::channel(BATCHES_AHEAD);
    let gatherer = Gatherer { context: context.clone(), stream: request.stream.clone(), watcher, batches };
    let gathering = tokio::spawn(gatherer.run());
    let mut committer = Committer::new(context, request.watch, started);
    committer.run(inbox).await?;
    gathering.await.map_err(Error::task)??;
    let counts = committer.counts;
    context.reporter.emit(Event::IngestFinished { counts, seconds: started.elapsed().as_secs_f64() });
    Ok(counts)
}

/// What one batch turned into.
#[derive(Default)]
struct Batch {
    admitted: Vec<Admitted>,
    refused: Vec<Refused>,
    rejects: Vec<Reject>,
    skipped: u64,
    files: u64,
}

/// First stage: gathers what the watcher finds and sets cores to work on it.
struct Gatherer {
    context: IngestContext,
    stream: String,
    watcher: Watcher,
    batches: mpsc::Sender<JoinHandle<Batch>>,
}

/// A batch being gathered.
#[derive(Default)]
struct Gathered {
    files: Vec<FileKey>,
    bytes: u64,
    rejects: Vec<Reject>,
    skipped: u64,
}

impl Gathered {
    fn is_full(&self, faces: usize) -> bool {
        self.files.len() >= faces || self.bytes >= BATCH_BYTES
    }

    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.rejects.is_empty() && self.skipped == 0
    }
}

impl Gatherer {
    async fn run(mut self) -> Result<()> {
        let shortest = Duration::from_millis(self.context.config.batch_window_ms);
        let limits = self.context.config.limits();
        let (mut window, mut files, mut idle_since) = (Window::new(shortest), 0, Instant::now());
        let mut most = FIRST_BATCH;
        while let Some(first) = self.watcher.next().await {
            let mut gathered = Gathered::default();
            self.take_note(first, &mut gathered);
            let (idle, interval) = (idle_since.elapsed(), self.context.corpus.commit_interval());
            let mut time = window.next(idle, files);
            // Gathered here and not at the commit, where the batches behind would wait too.
            if idle < interval {
                time = time.max(interval);
            }
            let end = tokio::time::Instant::now() + time;
            while !gathered.is_full(most.min(self.context.config.batch_faces)) {
                match tokio::time::timeout_at(end, self.watcher.next()).await {
                    Ok(Some(found)) => self.take_note(found, &mut gathered),
                    Ok(None) | Err(_) => break,
                }
            }
            (files, idle_since) = (gathered.files.len(), Instant::now());
            if gathered.is_empty() {
                continue;
            }
            most = most.saturating_mul(2);
            let (stream, again, now) = (self.stream.clone(), self.watcher.again(), self.context.corpus.log().now());
            let work = tokio::task::spawn_blocking(move || read_batch(gathered, &stream, &again, &limits, now));
            if self.batches.send(work).await.is_err() {
                // The committer has failed and says why itself.
                return Ok(());
            }
        }
        Ok(())
    }

    fn take_note(&self, found: Found, gathered: &mut Gathered) {
        match found {
            Found::File(key) => {
                gathered.bytes += key.size;
                gathered.files.push(key);
            }
            Found::Skipped { .. } => gathered.skipped += 1,
            Found::Unreadable { path, error } => {
                let reason = Reason::Unreadable { detail: error.to_string() };
                let now = self.context.corpus.log().now();
                gathered.rejects.push(reject_row(&encode_path(&path), &reason, &self.stream, now));
            }
            Found::ScanComplete { files } => self.context.reporter.emit(Event::ScanFinished { files }),
            Found::Degraded { why } => self.context.reporter.warn(why),
        }
    }
}

/// Second stage: reads and admits a batch on all cores.
fn read_batch(gathered: Gathered, stream: &str, again: &Again, limits: &Limits, now: Timestamp) -> Batch {
    let files = gathered.files.len() as u64;
    let mut batch = Batch { rejects: gathered.rejects, skipped: gathered.skipped, files, ..Batch::default() };
    let taken: Vec<(FileKey, Taken)> = gathered
        .files
        .into_par_iter()
        .with_min_len(16)
        .map(|key| {
            let taken = take(&key, limits.max_file_bytes);
            (key, taken)
        })
        .collect();
    let mut records = Vec::with_capacity(taken.len());
    for (key, taken) in taken {
        let source = encode_path(&key.path);
        let mut record = Record {
            source,
            dataset: stream.to_owned(),
            size: key.size,
            mtime: Some(key.mtime),
            inode: Some(key.inode),
            ..Record::default()
        };
        match taken {
            Taken::Whole(bytes) => {
                record.image = bytes;
                records.push(record);
            }
            Taken::TooLarge { bytes } => {
                let reason = Reason::TooManyBytes { bytes, limit: limits.max_file_bytes };
                batch.refused.push(Refused { record, reason });
            }
            Taken::Unreadable(error) => {
                let reason = Reason::Unreadable { detail: error.to_string() };
                batch.rejects.push(reject_row(&record.source, &reason, stream, now));
            }
            Taken::Changed => {
                if !again.look(key.path) {
                    batch.rejects.push(reject_row(&record.source, &Reason::Changed, stream, now));
                }
            }
            Taken::Gone => batch.skipped += 1,
        }
    }
    let (admitted, refused) = admit_batch(records, limits, now);
    batch.admitted = admitted;
    batch.refused.extend(refused);
    batch
}

/// Third stage: commits batches in order.
struct Committer<'a> {
    context: &'a IngestContext,
    watching: bool,
    counts: IngestCounts,
    rate: Rate,
}

impl<'a> Committer<'a> {
    fn new(context: &'a IngestContext, watching: bool, started: Instant) -> Self {
        Self { context, watching, counts: IngestCounts::default(), rate: Rate { at: started, seen: 0, lately: 0.0 } }
    }

    async fn run(&mut self, mut batches: mpsc::Receiver<JoinHandle<Batch>>) -> Result<()> {
        // Sightings of one batch are written while the faces of the next are: both are acknowledged before the end.
        let mut writing: Option<JoinHandle<Result<()>>> = None;
        while let Some(batch) = batches.recv().await {
            let batch = batch.await.map_err(Error::task)?;
            // Stopped while it waited for room: these files were not taken, and the next start finds them.
            let Some(rest) = self.commit(batch).await? else { break };
            if let Some(writing) = writing.replace(tokio::spawn(rest)) {
                writing.await.map_err(Error::task)??;
            }
            let images_per_second = self.rate.tick(self.counts.seen);
            self.context.reporter.emit(Event::IngestProgress { counts: self.counts, images_per_second });
        }
        match writing {
            Some(writing) => writing.await.map_err(Error::task)?,
            None => Ok(()),
        }
    }

    /// Commits the faces; returns the work that is left, or nothing where it was stopped before there was room.
    async fn commit(&mut self, mut batch: Batch) -> Result<Option<impl Future<Output = Result<()>> + use<>>> {
        let corpus = self.context.corpus.clone();
        refuse_forgotten(&corpus, &mut batch.admitted, &mut batch.refused).await?;
        let bytes = batch.admitted.iter().map(|admitted| admitted.face.image.len() as u64).sum();
        if !batch.admitted.is_empty() && !self.wait_for_room(bytes).await? {
            return Ok(None);
        }
        let now = corpus.log().now();
        self.counts.seen += batch.files;
        self.counts.skipped += batch.skipped;
        self.counts.rejected += (batch.refused.len() + batch.rejects.len()) as u64;
        let mut rejects = batch.rejects;
        let mut sightings: Vec<Sighting> = Vec::with_capacity(batch.admitted.len() + batch.refused.len());
        let mut faces: Vec<Face> = Vec::with_capacity(batch.admitted.len());
        for Admitted { face, record } in batch.admitted {
            sightings.push(sighting_row(record, Some(face.face_id.clone()), now));
            faces.push(face);
        }
        for refused in batch.refused {
            rejects.push(refused.row(now));
            sightings.push(sighting_row(refused.record, None, now));
        }
        if !faces.is_empty() {
            let waiting = self.context.arrivals.as_ref().and_then(|arrivals| arrivals.keep(&faces));
            let acknowledged = corpus.writer::<Face>().append(faces).await?;
            let new = acknowledged.written.iter().filter(|written| **written).count() as u64;
            self.counts.new += new;
            self.counts.repeats += acknowledged.written.len() as u64 - new;
            if let Some(arrivals) = &self.context.arrivals {
                arrivals.announce(waiting, &acknowledged.written);
            }
        }
        Ok(Some(async move {
            if !rejects.is_empty() {
                corpus.writer::<Reject>().append(rejects).await?;
            }
            if !sightings.is_empty() {
                corpus.writer::<Sighting>().append(sightings).await?;
            }
            Ok(())
        }))
    }
}

impl Committer<'_> {
    /// While the disk has no room for faces a stream waits, with its files where they are; a single pass ends. Says whether
    /// there is room: not where the stream was stopped before.
    async fn wait_for_room(&self, bytes: u64) -> Result<bool> {
        let mut said = false;
        while let Err(error) = self.context.corpus.check_room(bytes) {
            if !self.watching {
                return Err(error.into());
            }
            if !said {
                self.context.reporter.warn(format!("{error}; the stream waits until there is room"));
                said = true;
            }
            tokio::select! {
                () = self.context.token.cancelled() => return Ok(false),
                () = tokio::time::sleep(ROOM_EVERY) => {}
            }
        }
        Ok(true)
    }
}

/// Inputs a second, lately.
struct Rate {
    at: Instant,
    seen: u64,
    lately: f64,
}

impl Rate {
    fn tick(&mut self, seen: u64) -> f64 {
        let seconds = self.at.elapsed().as_secs_f64();
        if seconds > 0.2 {
            self.lately = (seen - self.seen) as f64 / seconds;
            (self.at, self.seen) = (Instant::now(), seen);
        }
        self.lately
    }
}
