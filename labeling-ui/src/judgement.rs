//! A judgement: what one annotator says about one face, and how it is taken back.
//!
//! In: a [`Judgement`] about a stored face. Out: the row of `labels` that it became. Nothing is ever changed or removed:
//! taking a label back appends a row that says so.

use marginalia_store::tables::labels::Label;
use marginalia_store::{Corpus, Timestamp};

use crate::error::{Error, Result};

/// What was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A class of the corpus.
    Expression(String),
    /// The picture shows no face: it leaves pool, corpus and queue.
    NotAFace,
    /// The annotator cannot tell; the face goes to others.
    Unsure,
    /// The annotator passes; the face goes to others.
    Skip,
}

impl Answer {
    /// The verdicts by name, everything else as a class.
    pub fn parse(text: &str) -> Self {
        match text {
            "not_a_face" => Self::NotAFace,
            "unsure" => Self::Unsure,
            "skip" => Self::Skip,
            class => Self::Expression(class.to_owned()),
        }
    }

    fn columns(self) -> (Option<String>, Option<String>) {
        match self {
            Self::Expression(class) => (Some(class), None),
            Self::NotAFace => (None, Some("not_a_face".to_owned())),
            Self::Unsure => (None, Some("unsure".to_owned())),
            Self::Skip => (None, Some("skip".to_owned())),
        }
    }
}

/// Where a label comes from, in falling weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A person at work in this corpus.
    Human,
    /// A data set's label.
    Import,
    /// The simulated annotator of a demo or an experiment.
    Simulated,
}

impl Origin {
    /// As in the column `origin`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Import => "import",
            Self::Simulated => "simulated",
        }
    }
}

/// Where the judgement was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The queue.
    Queue,
    /// The audit sample of subset I, shown without the suggestion.
    Audit,
    /// The command line.
    Cli,
    /// An import.
    Import,
}

impl Lane {
    /// As in the column `lane`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Audit => "audit",
            Self::Cli => "cli",
            Self::Import => "import",
        }
    }
}

/// What one annotator says about one face.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The face, by its whole id.
    pub face_id: String,
    /// What was said.
    pub answer: Answer,
    /// Who said it.
    pub annotator: String,
    /// Whose word it is.
    pub origin: Origin,
    /// Where.
    pub lane: Lane,
    /// The round whose queue showed the face.
    pub round: Option<u32>,
    /// The class that was suggested, if one was shown.
    pub suggestion: Option<String>,
    /// The sighting that gave the label, for imports.
    pub source: Option<String>,
    /// Seconds it took.
    pub seconds: Option<f32>,
}

impl Judgement {
    /// A judgement with nothing but the necessary.
    pub fn new(
        face_id: impl Into<String>,
        answer: Answer,
        annotator: impl Into<String>,
        origin: Origin,
        lane: Lane,
    ) -> Self {
        Self {
            face_id: face_id.into(),
            answer,
            annotator: annotator.into(),
            origin,
            lane,
            round: None,
            suggestion: None,
            source: None,
            seconds: None,
        }
    }
}

/// Takes judgements into a corpus.
#[derive(Clone)]
pub struct Judge {
    corpus: Corpus,
}

impl Judge {
    /// A judge over a corpus.
    pub fn new(corpus: &Corpus) -> Self {
        Self { corpus: corpus.clone() }
    }

    /// Stores judgements, all in one commit, and returns their rows.
    ///
    /// # Errors
    /// A class the corpus does not have, or an annotator without a name. Whether the faces exist is the caller's to
    /// know: it got their ids from the corpus.
    pub async fn submit(&self, judgements: Vec<Judgement>) -> Result<Vec<Label>> {
        let now = self.corpus.log().now();
        let rows = judgements.into_iter().map(|judgement| self.row(judgement, now)).collect::<Result<Vec<_>>>()?;
        if !rows.is_empty() {
            self.corpus.writer::<Label>().append(rows.clone()).await?;
        }
        Ok(rows)
    }

    /// Takes a label back and returns the row that does it.
    ///
    /// # Errors
    /// A label that is not there, or was taken back before.
    pub async fn retract(&self, label_id: &str, annotator: &str) -> Result<Label> {
        let missing = || marginalia_store::Error::NoSuchLabel { label_id: label_id.to_owned() };
        let id = uuid::Uuid::parse_str(label_id).map_err(|_| missing())?.to_string();
        let snapshot = self.corpus.snapshot().await?;
        let filter = format!("label_id = '{id}' OR retracts = '{id}'");
        let mut rows = snapshot.rows::<Label>(Some(&filter)).await?;
        rows.retain(|row| row.label_id == id || row.retracts.is_some());
        let [label] = rows.as_slice() else { return Err(missing().into()) };
        if label.retracts.is_some() {
            return Err(missing().into());
        }
        let row = Label {
            label_id: new_id(),
            expression: None,
            verdict: None,
            votes: None,
            annotator: annotator.to_owned(),
            request_key: None,
            request_hash: None,
            seconds: None,
            note: None,
            created_at: self.corpus.log().now(),
            retracts: Some(id),
            ..label.clone()
        };
        self.corpus.writer::<Label>().append(vec![row.clone()]).await?;
        Ok(row)
    }

    fn row(&self, judgement: Judgement, now: Timestamp) -> Result<Label> {
        if judgement.annotator.trim().is_empty() {
            return Err(Error::NoAnnotator);
        }
        if let Answer::Expression(class) = &judgement.answer
            && !self.corpus.classes().contains(class)
        {
            let known = self.corpus.classes().join(", ");
            return Err(Error::UnknownExpression { given: class.clone(), known });
        }
        let (expression, verdict) = judgement.answer.columns();
        Ok(Label {
            label_id: new_id(),
            face_id: judgement.face_id,
            expression,
            verdict,
            votes: None,
            annotator: judgement.annotator,
            origin: judgement.origin.as_str().to_owned(),
            lane: judgement.lane.as_str().to_owned(),
            round: judgement.round,
            suggestion: judgement.suggestion,
            source: judgement.source,
            note: None,
            request_key: None,
            request_hash: None,
            seconds: judgement.seconds,
            created_at: now,
            retracts: None,
        })
    }
}

fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
