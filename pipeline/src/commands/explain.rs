//! `explain`: a face's whole story, from its file to its place in the corpus or the queue.

use marginalia_store::tables::labels::Label;
use marginalia_store::tables::predictions::Prediction;
use marginalia_store::tables::sightings::Sighting;
use marginalia_store::{Session, Snapshot};
use serde::{Deserialize, Serialize};

use crate::console::Console;
use crate::error::Result;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The face, or the beginning of its id
    pub face_id: String,
}

#[derive(Debug, Serialize)]
struct Story {
    face_id: String,
    format: String,
    width: u32,
    height: u32,
    stream: String,
    subject: Option<String>,
    ingested_at: String,
    sightings: Vec<Seen>,
    predictions: Vec<Judged>,
    labels: Vec<Labelled>,
    corpus: Option<CorpusRow>,
    queue: Option<QueueRow>,
    verdict: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Face {
    format: String,
    width: u32,
    height: u32,
    stream: String,
    subject: Option<String>,
    ingested_at: String,
}

#[derive(Debug, Serialize)]
struct Seen {
    source: String,
    dataset: String,
    split: Option<String>,
    given_class: Option<String>,
}

#[derive(Debug, Serialize)]
struct Judged {
    round: u32,
    expression: String,
    confidence: f32,
    margin: f32,
    subset: String,
}

#[derive(Debug, Serialize)]
struct Labelled {
    label_id: String,
    says: String,
    annotator: String,
    origin: String,
    lane: String,
    taken_back: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct CorpusRow {
    expression: String,
    origin: String,
    confidence: Option<f32>,
    split: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct QueueRow {
    rank: u64,
    lane: String,
    reason: String,
}

/// Runs `explain`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let session = opened.session().await?;
    let face_id = session.snapshot().face_id(&args.face_id).await?;
    let story = tell(&session, face_id).await?;
    console.print(&story, people)
}

async fn tell(session: &Session, face_id: String) -> Result<Story> {
    let snapshot = session.snapshot().clone();
    let filter = format!("face_id = '{face_id}'");
    let sql = format!(
        "select format, width, height, stream, subject, cast(ingested_at as varchar) as ingested_at \
         from faces where {filter} limit 1"
    );
    let face: Option<Face> = first(session, &sql).await?;
    let face = face.ok_or(marginalia_store::Error::NoSuchFace { face_id: face_id.clone() })?;
    let corpus: Option<CorpusRow> =
        first(session, &format!("select expression, origin, confidence, split from corpus where {filter}")).await?;
    let queue: Option<QueueRow> =
        first(session, &format!("select rank, lane, reason from queue where {filter}")).await?;
    let sightings = snapshot.rows::<Sighting>(Some(&filter)).await?.into_iter().map(|row| Seen {
        source: row.source,
        dataset: row.dataset,
        split: row.split,
        given_class: row.given_class,
    });
    let predictions = predictions(&snapshot, &filter).await?;
    let labels = labels(&snapshot, &filter).await?;
    let verdict = verdict(corpus.as_ref(), queue.as_ref(), &predictions);
    Ok(Story {
        face_id,
        format: face.format,
        width: face.width,
        height: face.height,
        stream: face.stream,
        subject: face.subject,
        ingested_at: face.ingested_at,
        sightings: sightings.collect(),
        predictions,
        labels,
        corpus,
        queue,
        verdict,
    })
}

async fn first<T: serde::de::DeserializeOwned>(session: &Session, sql: &str) -> Result<Option<T>> {
    Ok(session.query_trusted(sql, Vec::new()).await?.rows().await?.into_iter().next())
}

/// What every accepted round said, the oldest first.
async fn predictions(snapshot: &Snapshot, filter: &str) -> Result<Vec<Judged>> {
    let mut rows = snapshot.rows::<Prediction>(Some(filter)).await?;
    rows.retain(|row| snapshot.rounds().iter().any(|round| round.accepted && round.round == row.round));
    rows.sort_by_key(|row| (row.round, row.scored_at));
    rows.dedup_by_key(|row| row.round);
    let judged = rows.into_iter().map(|row| Judged {
        round: row.round,
        expression: row.expression,
        confidence: row.confidence,
        margin: row.margin,
        subset: row.subset,
    });
    Ok(judged.collect())
}

async fn labels(snapshot: &Snapshot, filter: &str) -> Result<Vec<Labelled>> {
    let mut rows = snapshot.rows::<Label>(Some(filter)).await?;
    rows.sort_by(|a, b| (a.created_at, &a.label_id).cmp(&(b.created_at, &b.label_id)));
    let taken_back: Vec<String> = rows.iter().filter_map(|row| row.retracts.clone()).collect();
    let labels = rows.into_iter().filter(|row| row.retracts.is_none()).map(|row| Labelled {
        taken_back: taken_back.contains(&row.label_id),
        label_id: row.label_id,
        says: row.expression.or(row.verdict).unwrap_or_default(),
        annotator: row.annotator,
        origin: row.origin,
        lane: row.lane,
    });
    Ok(labels.collect())
}

fn verdict(corpus: Option<&CorpusRow>, queue: Option<&QueueRow>, predictions: &[Judged]) -> String {
    match (corpus, queue) {
        (Some(row), None) if row.origin == "pseudo" => {
            format!("in the corpus as {} by pseudo-label: its confidence reached the margin", row.expression)
        }
        (Some(row), Some(place)) => format!(
            "in the corpus as {} ({}), and in the queue at {} ({})",
            row.expression, row.origin, place.rank, place.reason
        ),
        (Some(row), None) => {
            format!("in the corpus as {} by {} label, split {}", row.expression, row.origin, row.split)
        }
        (None, Some(place)) => format!("in the queue at {} ({}): {}", place.rank, place.lane, place.reason),
        (None, None) if predictions.is_empty() => "neither in the corpus nor in the queue".to_owned(),
        (None, None) => {
            "scored, but neither in the corpus nor in the queue: its labels disagree, it is no face, it stands in an \
             evaluation split, or its class failed the audit (see `status`)"
                .to_owned()
        }
    }
}

fn people(story: &Story) -> String {
    let mut lines = vec![
        format!("face {}", story.face_id),
        format!(
            "  {} {}×{}, stream {}, came {}{}",
            story.format,
            story.width,
            story.height,
            story.stream,
            story.ingested_at,
            story.subject.as_ref().map_or(String::new(), |subject| format!(", subject {subject}")),
        ),
    ];
    lines.extend(story.sightings.iter().map(|seen| {
        let split = seen.split.as_deref().unwrap_or("no split");
        let class = seen.given_class.as_ref().map_or(String::new(), |class| format!(", given {class}"));
        format!("  seen as {} ({}, {split}{class})", seen.source, seen.dataset)
    }));
    lines.extend(story.predictions.iter().map(|row| {
        let sign = if row.subset == "I" { "≥" } else { "<" };
        format!(
            "  round {}: {} with confidence {:.3} {sign} margin {:.3}: subset {}",
            row.round, row.expression, row.confidence, row.margin, row.subset
        )
    }));
    lines.extend(story.labels.iter().map(|label| {
        let end = if label.taken_back { ", taken back" } else { "" };
        format!("  {} says {} ({}, {}{end}) {}", label.annotator, label.says, label.origin, label.lane, label.label_id)
    }));
    lines.push(format!("  {}", story.verdict));
    lines.join("\n")
}
