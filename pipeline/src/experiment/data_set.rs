//! A data set of an experiment: which faces have which class, and a way to their images.
//!
//! In: a data set as it was named. Files and drawn faces first become a corpus of their own below the home corpus's folder
//! `experiments`, whole labels and all, once. Out: the faces of a run: S drawn by seed as `import --labels` draws it, U
//! without their labels, and the faces that are measured on. No memory holds images.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use marginalia_datasets::{Classes, LabelBudget, Split, draw_key};
use marginalia_store::{Session, SqlLimits};
use marginalia_trainer::{FaceSource, LabelledFace, RoundData, UnlabelledFace};
use serde::Deserialize;

use super::generated::WithGenerated;
use super::given::Given;
use crate::console::Opened;
use crate::error::{ExperimentError, Result};
use crate::round::prepare::votes;
use crate::round::source::SnapshotFaces;

/// A data set that is ready.
#[derive(Clone)]
pub struct DataSet {
    /// Its name in tables.
    pub name: String,
    /// Those of the home corpus's classes that have faces to train on; to measure on, where there are none to train on.
    pub classes: Classes,
    /// BLAKE3 of its faces, classes and splits.
    pub state: String,
    /// What is measured on: the test split, or validation where no test face has a label, as in AffectNet and SFEW.
    pub measured: Split,
    /// What it was read from, where it was files.
    given: Option<Given>,
    train: Vec<Face>,
    /// Faces of the split that is measured on.
    test: Vec<Face>,
    source: Arc<dyn FaceSource>,
}

/// A face and its place in the source.
#[derive(Clone, Debug)]
struct Face {
    face_id: String,
    index: u64,
    /// None where labels contradict each other.
    class: Option<String>,
    /// Votes for each class, where they came with this one.
    votes: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct Row {
    face_id: String,
    expression: Option<String>,
    split: String,
}

/// Faces with a class that a person or a data set gave, and those for training without.
const FACES: &str = "select face_id, expression, split from corpus where origin <> 'pseudo' \
                     union all select face_id, cast(null as varchar) as expression, 'train' as split from unlabelled \
                     order by face_id";

impl DataSet {
    /// The labelled faces of an open corpus.
    ///
    /// # Errors
    /// A corpus without faces to measure on.
    pub async fn of(opened: &Opened, name: String, given: Option<Given>) -> Result<Self> {
        let snapshot = opened.corpus.snapshot().await?;
        let session = Session::open(&opened.sql, snapshot.clone(), SqlLimits::default()).await?;
        let rows: Vec<Row> = session.query_trusted(FACES, Vec::new()).await?.rows().await?;
        let ids: Vec<String> = rows.iter().map(|row| row.face_id.clone()).collect();
        let places = snapshot.places(&ids).await?;
        let mut votes = votes(&session).await?;
        let mut hash = blake3::Hasher::new();
        let (mut train, mut validation, mut test) = (Vec::new(), Vec::new(), Vec::new());
        for (row, index) in rows.into_iter().zip(places) {
            let class = row.expression.as_deref().unwrap_or_default();
            hash.update(format!("{} {class} {}\n", row.face_id, row.split).as_bytes());
            let votes = votes.remove(&(row.face_id.clone(), class.to_owned()));
            for votes in votes.iter().flatten() {
                hash.update(&votes.to_le_bytes());
            }
            let face = Face { face_id: row.face_id, index, class: row.expression, votes };
            match row.split.as_str() {
                "train" => train.push(face),
                "test" => test.push(face),
                _ => validation.push(face),
            }
        }
        let (measured, test) = match has_labels(&test) {
            true => (Split::Test, test),
            false => (Split::Validation, validation),
        };
        let taught = if has_labels(&train) { &train } else { &test };
        if !has_labels(&test) {
            let split = if has_labels(&train) { "test or validation" } else { "train, test or validation" };
            return Err(ExperimentError::NoFacesOfSplit { dataset: name, split }.into());
        }
        let has_faces = |class: &&String| taught.iter().any(|face| face.class.as_ref() == Some(*class));
        let classes = Classes::new(snapshot.classes().iter().filter(has_faces))?;
        let is_kept: Vec<bool> = snapshot.classes().iter().map(|class| classes.index(class).is_some()).collect();
        for votes in train.iter_mut().filter_map(|face| face.votes.as_mut()) {
            let mut is_kept = is_kept.iter();
            votes.retain(|_| is_kept.next().copied().unwrap_or_default());
        }
        let source = Arc::new(SnapshotFaces::new(snapshot));
        let state = hash.finalize().to_hex().to_string();
        Ok(Self { name, classes, state, measured, given, train, test, source })
    }

    /// Whether there is something to train on; a data set without is only measured on.
    pub fn can_train(&self) -> bool {
        has_labels(&self.train)
    }

    /// What a run trains on: S, U with a share of generated faces, and the test faces as what is measured after every epoch.
    ///
    /// # Errors
    /// A class with fewer faces than the budget asks for.
    pub fn round_data(&self, labels: LabelBudget, seed: u64, generated: f64) -> Result<RoundData> {
        let labelled = self.labelled(labels, seed)?;
        let is_labelled: HashSet<&str> = labelled.iter().map(|face| face.face_id.as_str()).collect();
        let mut unlabelled: Vec<UnlabelledFace> = self
            .train
            .iter()
            .filter(|face| !is_labelled.contains(face.face_id.as_str()))
            .map(|face| UnlabelledFace { face_id: face.face_id.clone(), index: face.index, weight: 1.0 })
            .collect();
        let mut source = self.source.clone();
        if generated > 0.0 {
            let count = (unlabelled.len() as f64 * generated / (1.0 - generated)).round() as u64;
            unlabelled.extend((0..count).map(WithGenerated::face));
            source = Arc::new(WithGenerated::new(source, seed, &self.classes));
        }
        Ok(RoundData { labelled, unlabelled, validation: self.test_faces(&self.classes), source })
    }

    /// The test faces of these classes.
    pub fn test_faces(&self, classes: &Classes) -> Vec<LabelledFace> {
        self.test.iter().filter_map(|face| labelled(face, classes)).collect()
    }

    /// Labelled test faces.
    pub fn test_count(&self) -> usize {
        self.test.iter().filter(|face| face.class.is_some()).count()
    }

    /// What it was read from; none for a corpus.
    pub fn given(&self) -> Option<&Given> {
        self.given.as_ref()
    }

    /// Its name, and the beginning of its state: what a model of another set was measured on.
    pub fn name_and_state(&self) -> String {
        format!("{}@{}", self.name, &self.state[..12])
    }

    /// Where its images come from.
    pub fn source(&self) -> &dyn FaceSource {
        self.source.as_ref()
    }

    /// How many of this set's test faces the other set has too, and how many of those with the same class.
    pub fn shared_with(&self, other: &Self) -> (usize, usize) {
        let all: HashMap<&str, &Option<String>> =
            other.train.iter().chain(&other.test).map(|face| (face.face_id.as_str(), &face.class)).collect();
        let classes = self.test.iter().filter_map(|face| Some((&face.class, *all.get(face.face_id.as_str())?)));
        let classes: Vec<_> = classes.collect();
        (classes.len(), classes.iter().filter(|(here, there)| here == there).count())
    }

    /// Whether there are so many labels.
    ///
    /// # Errors
    /// [`ExperimentError::TooFewLabels`].
    pub fn check(&self, labels: LabelBudget) -> Result<()> {
        self.wanted(labels).map(drop)
    }

    /// The classes' true shares among the training faces.
    pub fn shares(&self) -> Vec<f64> {
        let available = self.available();
        let all = available.iter().sum::<usize>() as f64;
        available.into_iter().map(|faces| faces as f64 / all).collect()
    }

    /// Whether people's votes came with any label.
    pub fn has_votes(&self) -> bool {
        self.train.iter().any(|face| face.votes.is_some())
    }

    /// Training faces of each class.
    fn available(&self) -> Vec<usize> {
        let mut available = vec![0; self.classes.len()];
        for face in self.train.iter().filter_map(|face| labelled(face, &self.classes)) {
            available[face.class] += 1;
        }
        available
    }

    /// Labels of each class that a budget takes.
    fn wanted(&self, labels: LabelBudget) -> Result<Vec<usize>> {
        let too_few = |source| {
            let (dataset, labels) = (self.name.clone(), labels.to_string());
            ExperimentError::TooFewLabels { dataset, labels, source }
        };
        Ok(labels.per_class(&self.classes, &self.available()).map_err(too_few)?)
    }

    fn labelled(&self, labels: LabelBudget, seed: u64) -> Result<Vec<LabelledFace>> {
        let mut by_class: Vec<Vec<LabelledFace>> = vec![Vec::new(); self.classes.len()];
        for face in &self.train {
            if let Some(labelled) = labelled(face, &self.classes) {
                by_class[labelled.class].push(LabelledFace { target: face.votes.clone(), ..labelled });
            }
        }
        let mut drawn = Vec::new();
        for (mut faces, wanted) in by_class.into_iter().zip(self.wanted(labels)?) {
            faces.sort_by_key(|face| draw_key(seed, &face.face_id));
            drawn.extend(faces.into_iter().take(wanted));
        }
        drawn.sort_by(|a, b| a.face_id.cmp(&b.face_id));
        Ok(drawn)
    }
}

fn has_labels(faces: &[Face]) -> bool {
    faces.iter().any(|face| face.class.is_some())
}

fn labelled(face: &Face, classes: &Classes) -> Option<LabelledFace> {
    let class = classes.index(face.class.as_deref()?)?;
    Some(LabelledFace { face_id: face.face_id.clone(), index: face.index, class, target: None, weight: 1.0 })
}
