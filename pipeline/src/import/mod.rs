//! `import`: a data set on disk becomes faces, sightings and labels.
//!
//! In: a reader, a path, a label budget. Out: rows in the corpus and a summary. Faces are written as they are read; what
//! was seen is spooled, and once all is known the draw decides which labels may be known and which faces are held out;
//! then labels and sightings are written. A face whose label is held back leaves no trace of it, except in `truth` where
//! a simulation was asked for.

mod choose;
mod held_out;
mod labels;
mod spool;
mod summary;

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;

use futures::StreamExt;
use marginalia_datasets::{Classes, HoldOut, Item, LabelBudget, Limits, ReadRequest, Record, Split};
use marginalia_labeling_ui::{Answer, Judge, Judgement, Lane, Origin};
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::rejects::Reject;
use marginalia_store::tables::sightings::Sighting;
use marginalia_store::tables::truth::Truth;
use marginalia_store::{Corpus, FileKey, SeenFiles, Session, SqlLimits, SqlRuntime, Timestamp};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::admitting::{Admitted, BATCH_BYTES, BATCH_FACES, Refused, admit_batch, refuse_forgotten, reject_row};
use crate::data_set::DataSet;
use crate::error::{Error, Result};
use crate::events::{Event, IngestCounts};
use crate::report::Reporter;

use choose::{Choice, choose};
use held_out::held_out;
use labels::{Brought, KnownLabels};
use spool::{Seen, Spool, SpoolWriter};
pub use summary::{ClassSummary, ImportSummary};

/// Batches read ahead of admission; each is bounded in bytes.
const READ_AHEAD: usize = 2;

/// What to import and how.
#[derive(Clone)]
pub struct ImportRequest {
    /// The data set.
    pub data_set: DataSet,
    /// Puts every face into this split.
    pub split: Option<Split>,
    /// How many labels may be known.
    pub budget: LabelBudget,
    /// Share of the training faces moved into an evaluation split.
    pub hold_out: Option<HoldOut>,
    /// Whether all faces of a person are held out together, or none.
    pub by_subject: bool,
    /// No label at all.
    pub unlabelled: bool,
    /// Keep what is held back for simulation.
    pub keep_truth: bool,
    /// Seed of the draws.
    pub seed: u64,
    /// Limits of admission.
    pub limits: Limits,
}

/// Imports.
pub async fn import(
    corpus: &Corpus,
    sql: &SqlRuntime,
    mut request: ImportRequest,
    reporter: &Reporter,
) -> Result<ImportSummary> {
    let path = &mut request.data_set.path;
    *path = path.canonicalize().map_err(Error::io(&*path))?;
    let started = std::time::Instant::now();
    let classes = Classes::new(corpus.classes().to_vec())?;
    let mut summary = ImportSummary::new(&request);
    let path = request.data_set.path.display().to_string();
    reporter.emit(Event::ImportStarted { format: summary.dataset.clone(), path });
    let spool = read(corpus, &classes, &request, &mut summary, reporter).await?;
    let session = Session::open(sql, corpus.snapshot().await?, SqlLimits::default()).await?;
    let evaluation = evaluation_faces(&session).await?;
    let seen = spool.sql().await?;
    let budget = if request.unlabelled { LabelBudget::All } else { request.budget };
    let held_out = match request.hold_out {
        Some(hold_out) => held_out(&seen, hold_out, request.by_subject, request.seed).await?,
        None => HashSet::new(),
    };
    let choice = choose(&seen, &classes, budget, held_out, request.seed, &evaluation).await?;
    if request.keep_truth {
        write_truth(corpus, &seen, &choice).await?;
    }
    write_rows(corpus, &session, &spool, &choice, &request, &mut summary).await?;
    let session = Session::open(sql, corpus.snapshot().await?, SqlLimits::default()).await?;
    summary.fill(&session, &seen, &choice, &classes, &request).await?;
    let (counts, labels) = (counts(&summary), summary.labels);
    reporter.emit(Event::ImportFinished { counts, labels, seconds: started.elapsed().as_secs_f64() });
    Ok(summary)
}

/// Reads and admits everything; faces go to the store, the rest to the spool.
async fn read(
    corpus: &Corpus,
    classes: &Classes,
    request: &ImportRequest,
    summary: &mut ImportSummary,
    reporter: &Reporter,
) -> Result<Spool> {
    let (batches, inbox) = mpsc::channel::<Vec<Item>>(READ_AHEAD);
    let (wanted, classes) = (request.clone(), classes.clone());
    let reading = tokio::task::spawn_blocking(move || {
        let mut reading = ReadRequest::new(&wanted.data_set.path, &classes);
        reading.class_map = wanted.data_set.class_map;
        reading.options = &wanted.data_set.options;
        reading.limits = wanted.limits;
        reading.split = wanted.split;
        reading.unlabelled = wanted.unlabelled;
        let mut batcher = Batcher { batches, items: Vec::new(), bytes: 0 };
        wanted.data_set.reader.read(&reading, &mut |item| batcher.add(item))?;
        // Whoever listens may have failed; it says so itself.
        let _ = batcher.flush();
        Ok::<_, Error>(())
    });
    let limits = request.limits;
    let now = corpus.log().now();
    let mut admitted = ReceiverStream::new(inbox)
        .map(|items| tokio::task::spawn_blocking(move || admit_items(items, &limits, now)))
        .buffered(2);
    let mut spool = SpoolWriter::create(corpus.path())?;
    let started = std::time::Instant::now();
    while let Some(batch) = admitted.next().await {
        let mut batch = batch.map_err(Error::task)?;
        refuse_forgotten(corpus, &mut batch.admitted, &mut batch.refused).await?;
        summary.skipped += batch.skipped;
        summary.rejected += (batch.refused.len() + batch.rejects.len()) as u64;
        store_batch(corpus, batch, &mut spool, summary, now).await?;
        let counts = counts(summary);
        let images_per_second = counts.seen as f64 / started.elapsed().as_secs_f64().max(1e-9);
        reporter.emit(Event::ImportProgress { counts, labels: summary.labels, images_per_second });
    }
    reading.await.map_err(Error::task)??;
    spool.finish()
}

/// The totals so far as events tell them.
fn counts(summary: &ImportSummary) -> IngestCounts {
    IngestCounts {
        seen: summary.read + summary.rejected,
        new: summary.new_faces,
        repeats: summary.read - summary.new_faces,
        rejected: summary.rejected,
        skipped: summary.skipped,
    }
}

/// Gathers items into batches of bounded size.
struct Batcher {
    batches: mpsc::Sender<Vec<Item>>,
    items: Vec<Item>,
    bytes: u64,
}

impl Batcher {
    fn add(&mut self, item: Item) -> ControlFlow<()> {
        if let Item::Face(record) = &item {
            self.bytes += record.image.len() as u64;
        }
        self.items.push(item);
        if self.items.len() >= BATCH_FACES / 4 || self.bytes >= BATCH_BYTES {
            self.flush()
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Breaks off where nobody listens any more: the import failed at the other end.
    fn flush(&mut self) -> ControlFlow<()> {
        self.bytes = 0;
        let items = std::mem::take(&mut self.items);
        match self.batches.blocking_send(items) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

struct Batch {
    admitted: Vec<Admitted>,
    refused: Vec<Refused>,
    rejects: Vec<marginalia_datasets::Reject>,
    skipped: u64,
}

fn admit_items(items: Vec<Item>, limits: &Limits, now: Timestamp) -> Batch {
    let mut records = Vec::with_capacity(items.len());
    let mut rejects = Vec::new();
    let mut skipped = 0;
    for item in items {
        match item {
            Item::Face(record) => records.push(record),
            Item::Reject(reject) => rejects.push(reject),
            Item::Skipped { .. } => skipped += 1,
        }
    }
    let (admitted, refused) = admit_batch(records, limits, now);
    Batch { admitted, refused, rejects, skipped }
}

async fn store_batch(
    corpus: &Corpus,
    batch: Batch,
    spool: &mut SpoolWriter,
    summary: &mut ImportSummary,
    now: Timestamp,
) -> Result<()> {
    let mut rows: Vec<Seen> = Vec::with_capacity(batch.admitted.len());
    let mut faces: Vec<Face> = Vec::with_capacity(batch.admitted.len());
    for Admitted { face, mut record } in batch.admitted {
        rows.push(Seen {
            perceptual_hash: face.perceptual_hash,
            subject: face.subject.clone(),
            votes: record.votes.take(),
            annotator: record.annotator.take(),
            seconds: record.lead_time.map(|time| time.as_secs_f32()),
            is_judged_by_person: record.is_judged_by_person,
            label_id: record.label_id.take(),
            is_changed: record.is_changed,
            sighting: sighting_row(record, Some(face.face_id.clone()), now),
        });
        faces.push(face);
    }
    summary.read += rows.len() as u64;
    if !faces.is_empty() {
        let acknowledged = corpus.writer::<Face>().append(faces).await?;
        summary.new_faces += acknowledged.written.iter().filter(|new| **new).count() as u64;
    }
    let dataset = summary.dataset.clone();
    let mut rejects: Vec<Reject> = batch.refused.iter().map(|refused| refused.row(now)).collect();
    rejects.extend(batch.rejects.iter().map(|reject| reject_row(&reject.source, &reject.reason, &dataset, now)));
    if !rejects.is_empty() {
        corpus.writer::<Reject>().append(rejects).await?;
    }
    spool.add(rows)
}

/// The row of `sightings` for a record.
pub(crate) fn sighting_row(record: Record, face_id: Option<String>, now: Timestamp) -> Sighting {
    Sighting {
        source: record.source,
        source_hash: record.source_hash,
        r#box: record.bbox.map(|sides| sides.to_vec()),
        size: record.size,
        mtime: record.mtime.map(Timestamp::from),
        inode: record.inode,
        face_id,
        split: record.split.map(|split| split.as_str().to_owned()),
        given_class: record.given_class,
        dataset: record.dataset,
        seen_at: now,
    }
}

#[derive(serde::Deserialize)]
struct FaceId {
    face_id: String,
}

/// Faces that stand in an evaluation split already.
async fn evaluation_faces(session: &Session) -> Result<HashSet<String>> {
    let sql = "select distinct face_id from sightings where split in ('validation', 'test') and face_id is not null";
    let rows: Vec<FaceId> = session.query_trusted(sql, Vec::new()).await?.rows().await?;
    Ok(rows.into_iter().map(|row| row.face_id).collect())
}

/// Keeps the class of every face that has one class, for simulation only.
async fn write_truth(corpus: &Corpus, seen: &datafusion::prelude::SessionContext, choice: &Choice) -> Result<()> {
    let known: HashSet<String> =
        corpus.snapshot().await?.rows::<Truth>(None).await?.into_iter().map(|truth| truth.face_id).collect();
    let sql = "select face_id, min(given_class) as class from seen where face_id is not null and given_class is not null \
               group by face_id having count(distinct given_class) = 1";
    let mut rows = Vec::new();
    choose::for_each_pair(seen, sql, |face_id, class| {
        let is_known = choice.labelled.as_ref().is_some_and(|labelled| labelled.contains(face_id));
        if !is_known && !known.contains(face_id) {
            rows.push(Truth { face_id: face_id.to_owned(), expression: class.to_owned() });
        }
    })
    .await?;
    for chunk in rows.chunks(BATCH_FACES) {
        corpus.writer::<Truth>().append(chunk.to_vec()).await?;
    }
    Ok(())
}

/// Writes labels, then sightings, in the spool's order: a sighting that stands has its label.
async fn write_rows(
    corpus: &Corpus,
    session: &Session,
    spool: &Spool,
    choice: &Choice,
    request: &ImportRequest,
    summary: &mut ImportSummary,
) -> Result<()> {
    let judge = Judge::new(corpus);
    let mut files = SeenFiles::new(corpus);
    for rows in spool.rows()? {
        let rows = rows?;
        let known = KnownLabels::of(session, &rows).await?;
        let (mut labels, mut replaced) = (Vec::new(), BTreeSet::new());
        let mut sightings = Vec::with_capacity(rows.len());
        for Seen { sighting: mut row, votes, annotator, seconds, is_judged_by_person, label_id, is_changed, .. } in rows
        {
            let Some(face_id) = row.face_id.clone() else {
                sightings.push(row);
                continue;
            };
            if choice.held_out.contains(&face_id)
                && let Some(hold_out) = request.hold_out
            {
                row.split = Some(hold_out.split.as_str().to_owned());
            }
            let evaluation = row.split.as_deref().is_some_and(|split| split != Split::Train.as_str());
            let may_know = choice.labelled.as_ref().is_none_or(|labelled| labelled.contains(&face_id)) || evaluation;
            match row.given_class.take() {
                Some(class) if may_know => {
                    let annotator = annotator.unwrap_or_else(|| row.dataset.clone());
                    let brought = Brought {
                        face_id: &face_id,
                        source: &row.source,
                        class: &class,
                        annotator: &annotator,
                        label_id: label_id.as_deref(),
                        is_changed,
                    };
                    if let Some(given_way) = known.replaced(&brought) {
                        replaced.extend(given_way);
                        let answer = Answer::Expression(class.clone());
                        let origin = if is_judged_by_person { Origin::Human } else { Origin::Import };
                        let mut judgement = Judgement::new(face_id, answer, annotator, origin, Lane::Import);
                        judgement.source = Some(row.source.clone());
                        judgement.votes = votes;
                        judgement.seconds = seconds;
                        labels.push(judgement);
                    }
                    row.given_class = Some(class);
                }
                // Held back: the sighting does not know it either.
                _ => {}
            }
            sightings.push(row);
        }
        // In this order: after a kill in between the next import brings what is missing.
        if !replaced.is_empty() {
            let replaced: Vec<String> = replaced.into_iter().collect();
            judge.retract(judge.labels(&replaced).await?, &summary.dataset).await?;
        }
        summary.labels += judge.submit(labels).await?.len() as u64;
        let keys: Vec<FileKey> = sightings.iter().map(file_key).collect();
        let seen = files.seen(&keys).await?;
        let mut seen = seen.into_iter();
        sightings.retain(|_| !seen.next().unwrap_or(false));
        if !sightings.is_empty() {
            corpus.writer::<Sighting>().append(sightings).await?;
        }
    }
    Ok(())
}

fn file_key(row: &Sighting) -> FileKey {
    FileKey { source: row.source.clone(), size: row.size, mtime: row.mtime, inode: row.inode }
}
