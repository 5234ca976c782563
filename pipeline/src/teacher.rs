//! The current teacher: the EMA model of the last accepted round, and what it says about faces.
//!
//! In: faces with their images. Out: rows of `predictions` and `embeddings`, the same numbers whoever asks and whenever:
//! the draws of the weak views are seeded by face, checkpoint and view.

use std::path::Path;
use std::sync::Arc;

use marginalia_store::tables::embeddings::Embedding;
use marginalia_store::tables::predictions::Prediction;
use marginalia_store::{Feature, Timestamp};
use marginalia_trainer::device::Backend;
use marginalia_trainer::{Score, Scorer};

use crate::error::{Error, Result};
use crate::memory::Computing;

/// A teacher ready to score.
#[derive(Clone)]
pub struct Teacher {
    scorer: Arc<Scorer>,
    round: u32,
    classes: Arc<[String]>,
    margins: Arc<[f32]>,
    temperature: Option<f32>,
}

/// What came of a batch.
pub struct Scored {
    /// One row per face that decodes.
    pub predictions: Vec<Prediction>,
    /// Its feature.
    pub embeddings: Vec<Embedding>,
    /// Faces that do not decode any more: damage that `verify` names.
    pub undecodable: Vec<String>,
}

impl Teacher {
    /// Loads a round's checkpoint, to score on `threads` threads of the CPU (0: all cores): arrivals are too few to be
    /// worth the way to a device.
    pub fn load(
        folder: &Path,
        round: u32,
        classes: &[String],
        temperature: Option<f32>,
        threads: usize,
    ) -> Result<Self> {
        Self::load_on(Backend::Engine, folder, round, classes, temperature, threads)
    }

    /// Loads a round's checkpoint, to score on `backend`; `threads` then decode and make views.
    pub fn load_on(
        backend: Backend,
        folder: &Path,
        round: u32,
        classes: &[String],
        temperature: Option<f32>,
        threads: usize,
    ) -> Result<Self> {
        let scorer = Scorer::load_on(backend, folder, threads)?;
        if scorer.classes() != classes {
            return Err(Error::ForeignCheckpoint {
                path: folder.to_owned(),
                found: scorer.classes().join(", "),
                expected: classes.join(", "),
            });
        }
        let margins = scorer.margins().to_vec();
        Ok(Self { scorer: Arc::new(scorer), round, classes: classes.into(), margins: margins.into(), temperature })
    }

    /// The round whose teacher it is.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// Scores a batch on threads that may take their time.
    pub async fn score(&self, faces: Vec<(String, Vec<u8>)>) -> Result<Scored> {
        let teacher = self.clone();
        tokio::task::spawn_blocking(move || teacher.score_now(&faces)).await.map_err(Error::task)?
    }

    fn score_now(&self, faces: &[(String, Vec<u8>)]) -> Result<Scored> {
        let computing = Computing::network();
        let scores = self.scorer.score(faces)?;
        drop(computing);
        let now = Timestamp::now();
        let mut scored = Scored { predictions: Vec::new(), embeddings: Vec::new(), undecodable: Vec::new() };
        for ((face_id, _), score) in faces.iter().zip(scores) {
            match score {
                None => scored.undecodable.push(face_id.clone()),
                Some(score) => {
                    let feature = Feature::from_f32(&score.feature);
                    scored.embeddings.push(Embedding { round: self.round, face_id: face_id.clone(), feature });
                    scored.predictions.push(self.prediction(face_id, score, now));
                }
            }
        }
        Ok(scored)
    }

    /// The class names, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The margin of every class.
    pub fn margins(&self) -> &[f32] {
        &self.margins
    }

    /// The row of a score of this teacher, wherever it was computed.
    pub fn prediction(&self, face_id: &str, score: Score, now: Timestamp) -> Prediction {
        let margin = self.margins[score.class];
        Prediction {
            round: self.round,
            face_id: face_id.to_owned(),
            expression: self.classes[score.class].clone(),
            confidence: score.confidence,
            margin,
            // The comparison is the method's: at the margin is inside.
            subset: if score.confidence >= margin { "I" } else { "II" }.to_owned(),
            entropy: score.entropy,
            top2_gap: score.top2_gap,
            calibrated_confidence: self.temperature.map(|t| score.calibrated_confidence(f64::from(t))),
            mutual_information: score.mutual_information,
            probabilities: score.probabilities,
            scored_at: now,
        }
    }
}
