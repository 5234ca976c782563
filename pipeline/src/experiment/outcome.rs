//! What a model scores on a test split, beside the answer that needs no model.

use std::collections::BTreeMap;
use std::path::Path;

use marginalia_datasets::Classes;
use marginalia_trainer::{FaceSource, LabelledFace, Metrics, Scorer};

use crate::error::{Error, Result};

/// Faces fetched and predicted together.
const BATCH: usize = 256;

/// Measures on one test split. Only classes that have faces there are counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Faces measured.
    pub faces: u64,
    /// Share of right predictions.
    pub accuracy: f64,
    /// Mean F1.
    pub macro_f1: f64,
    /// F1 by class name.
    pub per_class: BTreeMap<String, f64>,
    /// What always answering the most frequent class gets.
    pub baseline: Baseline,
}

/// The answer that needs no model: the most frequent class.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// That class.
    pub class: String,
    /// Its share.
    pub accuracy: f64,
    /// Mean F1: that of the class over the number of classes.
    pub macro_f1: f64,
}

impl Outcome {
    /// From metrics over `classes`; none where nothing was measured.
    pub fn of(metrics: &Metrics, classes: &Classes) -> Option<Self> {
        let measured = classes.names().iter().zip(&metrics.per_class).filter(|(_, of)| of.labels > 0);
        let per_class: BTreeMap<String, f64> =
            measured.clone().map(|(name, of)| (name.clone(), of.f1.unwrap_or(0.0))).collect();
        let (class, most) = measured.map(|(name, of)| (name.clone(), of.labels)).max_by_key(|(_, labels)| *labels)?;
        let count = per_class.len() as f64;
        let (faces, most) = (metrics.count as f64, most as f64);
        let baseline = Baseline { class, accuracy: most / faces, macro_f1: 2.0 * most / (faces + most) / count };
        let macro_f1 = per_class.values().sum::<f64>() / count;
        Some(Self { faces: metrics.count, accuracy: metrics.accuracy, macro_f1, per_class, baseline })
    }

    /// Measures the checkpoint in `folder`, a model of `classes`, on faces of another data set, with `threads` threads
    /// (0: all cores).
    ///
    /// # Errors
    /// A checkpoint that does not load, images that cannot be read, or no face at all.
    pub fn measure(
        folder: &Path,
        threads: usize,
        faces: &[LabelledFace],
        source: &dyn FaceSource,
        classes: &Classes,
    ) -> Result<Self> {
        let scorer = Scorer::load_with_threads(folder, threads)?;
        let (mut probabilities, mut labels) = (Vec::new(), Vec::new());
        for faces in faces.chunks(BATCH) {
            let indices: Vec<u64> = faces.iter().map(|face| face.index).collect();
            let images = source.images(&indices).map_err(|source| Error::Images { source })?;
            for (face, score) in faces.iter().zip(scorer.predict(&images)?) {
                // What does not decode any more is left out, as in every measurement.
                let Some(score) = score else { continue };
                probabilities.push(score.probabilities.iter().map(|p| f64::from(*p)).collect());
                labels.push(face.class);
            }
        }
        let metrics = Metrics::of(&probabilities, &labels, classes.len()).ok_or(Error::NothingToEvaluate)?;
        Self::of(&metrics, classes).ok_or(Error::NothingToEvaluate)
    }
}
