//! A face's whole story, from its file to its place in the corpus or the queue. While it waits for somebody's own
//! judgement they are told it without what others said.

use marginalia_store::tables::predictions::Prediction as PredictionRow;
use marginalia_store::tables::sightings::Sighting;
use marginalia_store::{Session, Snapshot};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::face_id::FaceId;
use crate::judgement::Lane;
use crate::reading::{first, rows};

/// All that the corpus knows about one face.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Story {
    /// The face.
    #[schemars(with = "FaceId")]
    pub face_id: String,
    /// `jpeg`, `png`, `webp` or `bmp`.
    pub format: String,
    /// Pixels, upright.
    pub width: u32,
    /// Pixels, upright.
    pub height: u32,
    /// Stream or data set that brought it first.
    pub stream: String,
    /// Person, where the source names one.
    pub subject: Option<String>,
    /// When it was admitted.
    pub ingested_at: String,
    /// Every file or record that showed it.
    pub sightings: Vec<Seen>,
    /// What every accepted round said, the oldest first.
    pub predictions: Vec<Prediction>,
    /// Every judgement, the oldest first.
    pub labels: Vec<GivenLabel>,
    /// Whether others said something of it that is kept back here until the one who asks has judged it.
    pub kept_back: bool,
    /// Its row in the corpus.
    pub corpus: Option<CorpusEntry>,
    /// Its place in the queue.
    pub queue: Option<QueuePlace>,
    /// All of it in a sentence.
    pub verdict: String,
}

/// A file or record that showed the face.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Seen {
    /// Path or record.
    pub source: String,
    /// Stream or data set.
    pub dataset: String,
    /// Split, where the source names one.
    pub split: Option<String>,
    /// Class that the source gives.
    pub given_class: Option<String>,
}

/// What one round's teacher said.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Prediction {
    /// The round.
    pub round: u32,
    /// Most probable class.
    pub expression: String,
    /// Its mean softmax, 0 to 1.
    pub confidence: f32,
    /// The margin of that class.
    pub margin: f32,
    /// `I` or `II`.
    pub subset: String,
    /// Mean softmax of every class, in the corpus's order.
    pub probabilities: Vec<f32>,
}

/// One judgement.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct GivenLabel {
    /// Its id.
    pub label_id: String,
    /// Class or verdict.
    pub says: String,
    /// Who judged.
    pub annotator: String,
    /// `human`, `import` or `simulated`.
    pub origin: String,
    /// Where.
    pub lane: String,
    /// Free text.
    pub note: Option<String>,
    /// Whether it was taken back.
    pub taken_back: bool,
}

/// The face's row in the corpus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CorpusEntry {
    /// Class.
    pub expression: String,
    /// Whose word it is.
    pub origin: String,
    /// Share of the votes, or the prediction's confidence.
    pub confidence: Option<f32>,
    /// Split.
    pub split: String,
}

/// The face's place in the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QueuePlace {
    /// From 1.
    pub rank: u64,
    /// `queue`, `audit` or `review`.
    #[schemars(extend("enum" = [Lane::Queue.as_str(), Lane::Audit.as_str(), Lane::Review.as_str()]))]
    pub lane: String,
    /// Why it stands there.
    pub reason: String,
}

#[derive(Deserialize)]
struct Face {
    format: String,
    width: u32,
    height: u32,
    stream: String,
    subject: Option<String>,
    ingested_at: String,
}

/// A row of `labels`.
#[derive(Deserialize)]
struct Label {
    label_id: String,
    /// None where the row takes another one back.
    says: Option<String>,
    annotator: String,
    origin: String,
    lane: String,
    note: Option<String>,
    retracts: Option<String>,
}

impl Story {
    /// Tells it; the id is a whole one. An annotator who asks is told nothing of what others said as long as the face
    /// stands in the queue and they have not judged it.
    ///
    /// # Errors
    /// The store's [`NoSuchFace`](marginalia_store::Error::NoSuchFace).
    pub async fn tell(session: &Session, face_id: &str, asker: Option<&str>) -> Result<Self> {
        let missing = || marginalia_store::Error::NoSuchFace { face_id: face_id.to_owned() };
        if !marginalia_store::is_face_id(face_id) {
            return Err(missing().into());
        }
        let snapshot = session.snapshot();
        let filter = format!("face_id = '{face_id}'");
        let sql = format!(
            "select format, width, height, stream, subject, cast(ingested_at as varchar) as ingested_at from \
             (select format, width, height, stream, subject, ingested_at from faces where {filter} \
              order by ingested_at, stream limit 1)"
        );
        let face: Option<Face> = first(session, &sql).await?;
        let face = face.ok_or_else(missing)?;
        let corpus: Option<CorpusEntry> =
            first(session, &format!("select expression, origin, confidence, split from corpus where {filter}")).await?;
        let queue: Option<QueuePlace> =
            first(session, &format!("select rank, lane, reason from queue where {filter}")).await?;
        let predictions = predictions(snapshot, &filter).await?;
        let verdict = verdict(corpus.as_ref(), queue.as_ref(), &predictions);
        let story = Self {
            face_id: face_id.to_owned(),
            format: face.format,
            width: face.width,
            height: face.height,
            stream: face.stream,
            subject: face.subject,
            ingested_at: face.ingested_at,
            sightings: sightings(snapshot, &filter).await?,
            predictions,
            labels: labels(session, &filter).await?,
            kept_back: false,
            corpus,
            queue,
            verdict,
        };
        Ok(match asker {
            Some(asker) => story.told_to(asker),
            None => story,
        })
    }

    /// The part of it that leads nobody by another's word.
    fn told_to(mut self, asker: &str) -> Self {
        let is_own = |label: &GivenLabel| label.annotator == asker;
        let has_judged = self.labels.iter().any(|label| is_own(label) && !label.taken_back);
        self.kept_back = self.queue.is_some() && !has_judged && !self.labels.iter().all(is_own);
        if self.kept_back {
            self.labels.retain(is_own);
            self.corpus = self.corpus.filter(|entry| entry.origin == "pseudo");
            self.sightings.iter_mut().for_each(|seen| seen.given_class = None);
            self.verdict = verdict(self.corpus.as_ref(), self.queue.as_ref(), &self.predictions);
        }
        self
    }
}

async fn sightings(snapshot: &Snapshot, filter: &str) -> Result<Vec<Seen>> {
    let mut rows = snapshot.rows::<Sighting>(Some(filter)).await?;
    rows.sort_by(|a, b| (a.seen_at, &a.source).cmp(&(b.seen_at, &b.source)));
    let seen = rows.into_iter().map(|row| Seen {
        source: row.source,
        dataset: row.dataset,
        split: row.split,
        given_class: row.given_class,
    });
    Ok(seen.collect())
}

/// What every accepted round said, the oldest first.
async fn predictions(snapshot: &Snapshot, filter: &str) -> Result<Vec<Prediction>> {
    let mut rows = snapshot.rows::<PredictionRow>(Some(filter)).await?;
    rows.retain(|row| snapshot.rounds().iter().any(|round| round.accepted && round.round == row.round));
    rows.sort_by_key(|row| (row.round, row.scored_at));
    rows.dedup_by_key(|row| row.round);
    let predictions = rows.into_iter().map(|row| Prediction {
        round: row.round,
        expression: row.expression,
        confidence: row.confidence,
        margin: row.margin,
        subset: row.subset,
        probabilities: row.probabilities,
    });
    Ok(predictions.collect())
}

/// From the session, which knows what names are told as.
async fn labels(session: &Session, filter: &str) -> Result<Vec<GivenLabel>> {
    let sql = format!(
        "select label_id, coalesce(expression, verdict) as says, annotator, origin, lane, note, retracts from labels \
         where {filter} order by created_at, label_id"
    );
    let rows: Vec<Label> = rows(session, &sql).await?;
    let taken_back: Vec<String> = rows.iter().filter_map(|row| row.retracts.clone()).collect();
    let labels = rows.into_iter().filter(|row| row.retracts.is_none()).map(|row| GivenLabel {
        taken_back: taken_back.contains(&row.label_id),
        label_id: row.label_id,
        says: row.says.unwrap_or_default(),
        annotator: row.annotator,
        origin: row.origin,
        lane: row.lane,
        note: row.note,
    });
    Ok(labels.collect())
}

fn verdict(corpus: Option<&CorpusEntry>, queue: Option<&QueuePlace>, predictions: &[Prediction]) -> String {
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
