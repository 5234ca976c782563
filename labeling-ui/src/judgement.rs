//! A judgement: what one annotator says about one face, and how it is taken back.
//!
//! In: a [`Judgement`] about a stored face. Out: the row of `labels` that it became. Nothing is ever changed or removed:
//! taking a label back appends a row that says so.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use marginalia_store::tables::labels::Label;
use marginalia_store::{Corpus, Timestamp};

use crate::error::{Error, Result};
use crate::once::{Requests, Submission};

/// Characters of an annotator's name.
pub(crate) const NAME_CHARS: usize = 100;
/// Characters of a note.
pub(crate) const NOTE_CHARS: usize = 2000;
/// Seconds a judgement may take: a day.
pub(crate) const MAX_SECONDS: f32 = 86_400.0;

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
    /// Many faces at once, by class.
    Grid,
    /// A second look at faces whose labels disagree.
    Review,
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
            Self::Grid => "grid",
            Self::Review => "review",
            Self::Cli => "cli",
            Self::Import => "import",
        }
    }

    /// Whether faces that the queue shows in this lane come without the model's suggestion.
    pub fn is_blind(self) -> bool {
        matches!(self, Self::Audit | Self::Review)
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
    /// How many people said which class, in the order of the corpus's classes, where an import says so.
    pub votes: Option<Vec<u32>>,
    /// Free text.
    pub note: Option<String>,
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
            votes: None,
            note: None,
            seconds: None,
        }
    }

    /// A judgement has a name under it, and a person's own words have bounds; what an import brings is as it is.
    fn check(&self) -> Result<()> {
        if self.annotator.trim().is_empty() {
            return Err(Error::NoAnnotator);
        }
        if self.origin != Origin::Human {
            return Ok(());
        }
        if self.annotator.chars().count() > NAME_CHARS || self.annotator.chars().any(char::is_control) {
            let problem = format!("a name of at most {NAME_CHARS} characters, none of them a control character");
            return Err(Error::InvalidJudgement { field: "annotator", problem });
        }
        if self.note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS) {
            let problem = format!("at most {NOTE_CHARS} characters");
            return Err(Error::InvalidJudgement { field: "note", problem });
        }
        if self.seconds.is_some_and(|seconds| !(0.0..=MAX_SECONDS).contains(&seconds)) {
            let problem = format!("0 to {MAX_SECONDS}, the seconds that the judgement took");
            return Err(Error::InvalidJudgement { field: "seconds", problem });
        }
        Ok(())
    }
}

/// Takes judgements into a corpus.
#[derive(Clone)]
pub struct Judge {
    pub(crate) corpus: Corpus,
    pub(crate) requests: Arc<Requests>,
}

impl Judge {
    /// A judge over a corpus.
    pub fn new(corpus: &Corpus) -> Self {
        Self { corpus: corpus.clone(), requests: Arc::default() }
    }

    /// Stores judgements, all in one commit, and returns their rows.
    ///
    /// # Errors
    /// A class the corpus does not have, or an annotator without a name. Whether the faces exist is the caller's to
    /// know: it got their ids from the corpus.
    pub async fn submit(&self, judgements: Vec<Judgement>) -> Result<Vec<Label>> {
        Ok(self.submit_all(judgements).await?.rows)
    }

    /// As [`Judge::submit`]; also says in which version of `labels` the rows are.
    pub async fn submit_all(&self, judgements: Vec<Judgement>) -> Result<Submission> {
        let rows = self.rows(judgements)?;
        self.store(rows).await
    }

    pub(crate) fn rows(&self, judgements: Vec<Judgement>) -> Result<Vec<Label>> {
        let now = self.corpus.log().now();
        judgements.into_iter().map(|judgement| self.row(judgement, now)).collect()
    }

    pub(crate) async fn store(&self, rows: Vec<Label>) -> Result<Submission> {
        let version = match rows.is_empty() {
            true => None,
            false => Some(self.corpus.writer::<Label>().append(rows.clone()).await?.version),
        };
        Ok(Submission { rows, version })
    }

    /// A label that stands: neither unknown nor taken back.
    ///
    /// # Errors
    /// The store's [`NoSuchLabel`](marginalia_store::Error::NoSuchLabel) for any other.
    pub async fn label(&self, label_id: &str) -> Result<Label> {
        let missing = || marginalia_store::Error::NoSuchLabel { label_id: label_id.to_owned() };
        self.labels(&[label_id.to_owned()]).await?.pop().ok_or_else(|| missing().into())
    }

    /// Labels that stand, in the order of their ids here.
    ///
    /// # Errors
    /// As [`Judge::label`], for the first that does not.
    pub async fn labels(&self, label_ids: &[String]) -> Result<Vec<Label>> {
        let missing = |id: &String| marginalia_store::Error::NoSuchLabel { label_id: id.clone() };
        let parsed = |id: &String| uuid::Uuid::parse_str(id).map(|id| id.to_string()).map_err(|_| missing(id));
        let ids = label_ids.iter().map(parsed).collect::<std::result::Result<Vec<_>, _>>()?;
        let list = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
        let filter = format!("label_id IN ({list}) OR retracts IN ({list})");
        let mut known = HashMap::new();
        let mut taken_back = HashSet::new();
        for row in self.corpus.snapshot().await?.rows::<Label>(Some(&filter)).await? {
            match &row.retracts {
                Some(retracted) => _ = taken_back.insert(retracted.clone()),
                None => _ = known.insert(row.label_id.clone(), row),
            }
        }
        let standing =
            |id: &String| known.remove(id).filter(|_| !taken_back.contains(id)).ok_or_else(|| missing(id).into());
        ids.iter().map(standing).collect()
    }

    /// Takes labels back, all in one commit, and returns the rows that do it.
    pub async fn retract(&self, labels: Vec<Label>, annotator: &str) -> Result<Vec<Label>> {
        let now = self.corpus.log().now();
        let row = |label: Label| Label {
            label_id: new_id(),
            expression: None,
            verdict: None,
            votes: None,
            annotator: annotator.to_owned(),
            request_key: None,
            request_hash: None,
            seconds: None,
            note: None,
            created_at: now,
            retracts: Some(label.label_id.clone()),
            ..label
        };
        let rows: Vec<Label> = labels.into_iter().map(row).collect();
        self.corpus.writer::<Label>().append(rows.clone()).await?;
        Ok(rows)
    }

    fn row(&self, judgement: Judgement, now: Timestamp) -> Result<Label> {
        judgement.check()?;
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
            votes: judgement.votes,
            annotator: judgement.annotator,
            origin: judgement.origin.as_str().to_owned(),
            lane: judgement.lane.as_str().to_owned(),
            round: judgement.round,
            suggestion: judgement.suggestion,
            source: judgement.source,
            note: judgement.note,
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
