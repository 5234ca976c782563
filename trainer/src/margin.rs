//! The adaptive confidence margin (Ada-CM, Li et al., CVPR 2022).
//!
//! In: how sure the teacher is of labelled faces it gets right, per class, after every epoch (Eq. 1). Out: one margin
//! per class for the next epoch (Eq. 2, or its ablations Eq. 6, 7, 8), and the split of unlabelled faces by it.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::config::{MarginConfig, MarginFaces, Schedule};

/// What the teacher knows of each class after an epoch (Eq. 1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassConfidence {
    /// Mean of the largest probability over faces predicted as this class and right; `None` without such a face.
    pub mean: Vec<Option<f64>>,
    /// The same over all faces predicted as this class, right or wrong.
    #[serde(default)]
    pub mean_of_predicted: Vec<Option<f64>>,
    /// Faces predicted as this class and right.
    pub right: Vec<u64>,
    /// Labelled faces of this class.
    pub count: Vec<u64>,
}

impl ClassConfidence {
    /// From probabilities (one row per face) and labels.
    pub fn measure(probabilities: &[Vec<f64>], labels: &[usize], classes: usize) -> Self {
        let (mut sum, mut right, mut count) = (vec![0.0; classes], vec![0; classes], vec![0; classes]);
        let (mut sum_of_predicted, mut predicted) = (vec![0.0; classes], vec![0; classes]);
        for (row, &label) in probabilities.iter().zip(labels) {
            let (class, confidence) = largest(row);
            count[label] += 1;
            sum_of_predicted[class] += confidence;
            predicted[class] += 1;
            if class == label {
                sum[class] += confidence;
                right[class] += 1;
            }
        }
        Self { mean: means(&sum, &right), mean_of_predicted: means(&sum_of_predicted, &predicted), right, count }
    }

    /// T_c over the faces that a configuration asks for.
    pub fn over(&self, faces: MarginFaces) -> &[Option<f64>] {
        match faces {
            MarginFaces::Right => &self.mean,
            MarginFaces::Predicted => &self.mean_of_predicted,
        }
    }
}

fn means(sums: &[f64], counts: &[u64]) -> Vec<Option<f64>> {
    sums.iter().zip(counts).map(|(sum, &count)| (count > 0).then(|| sum / count as f64)).collect()
}

/// One face's place relative to the margins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// The predicted class; ties go to the lowest.
    pub class: usize,
    /// Its probability.
    pub confidence: f64,
    /// Whether the confidence reaches the class's margin: subset I, with `class` as pseudo-label; else subset II.
    pub subset_one: bool,
}

/// The margins of every class, and how often they were measured.
#[derive(Clone, Debug, PartialEq)]
pub struct AdaptiveMargin {
    config: MarginConfig,
    /// Epochs measured so far; the next epoch's number is t + 1.
    t: u32,
    margins: Vec<f64>,
    /// Moving averages of T_c, where margins move in every step; empty before the first.
    running: Vec<Option<f64>>,
}

impl AdaptiveMargin {
    /// Before any epoch: every class has the initial margin.
    pub fn new(config: &MarginConfig, classes: usize) -> Self {
        Self::restore(config, 0, vec![config.initial; classes])
    }

    /// Margins of a training under way.
    pub fn restore(config: &MarginConfig, t: u32, margins: Vec<f64>) -> Self {
        Self { config: config.clone(), t, margins, running: Vec::new() }
    }

    /// The same where margins move in every step: with the moving averages of T_c so far.
    pub fn with_running(self, running: Vec<Option<f64>>) -> Self {
        Self { running, ..self }
    }

    /// Called at the start of a round: t and margins start again where the configuration says so.
    pub fn begin_round(&mut self) {
        if self.config.restart_t_each_round {
            *self = Self::new(&self.config, self.margins.len());
        }
    }

    /// Takes the measurement after epoch t + 1; the margins that follow are in force from the next epoch on.
    pub fn measure(&mut self, mean_confidence: &[Option<f64>]) {
        self.t += 1;
        self.margins = mean_confidence.iter().map(|mean| self.margin(*mean, self.t)).collect();
    }

    /// Takes what one step of epoch t + 1 says of each class into the moving averages; margins follow at once. A class
    /// of which the step says nothing keeps its average.
    pub fn observe(&mut self, mean_confidence: &[Option<f64>], momentum: f64) {
        self.running.resize(mean_confidence.len(), None);
        for (running, observed) in self.running.iter_mut().zip(mean_confidence) {
            *running = match (*running, *observed) {
                (Some(old), Some(new)) => Some(momentum * old + (1.0 - momentum) * new),
                (old, new) => new.or(old),
            };
        }
        self.margins = self.running.iter().map(|mean| self.margin(*mean, self.t + 1)).collect();
    }

    /// Ends an epoch whose steps were observed.
    pub fn end_epoch(&mut self) {
        self.t += 1;
    }

    /// Margin of a class with this mean confidence in epoch t: max(floor, β T_c f(t)).
    fn margin(&self, mean_confidence: Option<f64>, t: u32) -> f64 {
        match (self.config.schedule, mean_confidence) {
            (Schedule::Fixed, _) => self.config.initial,
            (_, Some(mean)) => self.config.floor.max(self.config.beta * mean * factor(&self.config, t)),
            (_, None) => self.config.empty_class,
        }
    }

    /// Epochs measured so far.
    pub fn t(&self) -> u32 {
        self.t
    }

    /// The margins in force.
    pub fn margins(&self) -> &[f64] {
        &self.margins
    }

    /// The moving averages of T_c, where margins move in every step.
    pub fn running(&self) -> &[Option<f64>] {
        &self.running
    }

    /// Places one face by its mean probabilities.
    pub fn place(&self, probabilities: &[f64]) -> Placement {
        place(probabilities, &self.margins)
    }
}

/// Places one face by its probabilities against the margin of every class.
pub fn place(probabilities: &[f64], margins: &[f64]) -> Placement {
    let (class, confidence) = largest(probabilities);
    Placement { class, confidence, subset_one: confidence >= margins[class] }
}

/// f(t): how much of β T_c the margin is in epoch t, counted from 1.
fn factor(config: &MarginConfig, t: u32) -> f64 {
    let t = f64::from(t);
    match config.schedule {
        Schedule::Eq2 => 1.0 / (1.0 + config.gamma.powf(-t)),
        Schedule::Eq6 => 1.0 / (1.0 + (t + 1.0) / t),
        Schedule::Eq7 => 1.0 / (1.0 + (t + 1.0) / (2.0 * t)),
        Schedule::Eq8 => 1.0 / (1.0 + (t + 1.0).log2().exp()),
        Schedule::Fixed => 1.0,
    }
}

/// The largest probability and its class; of equal ones the lowest class.
pub fn largest(probabilities: &[f64]) -> (usize, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (class, &probability) in probabilities.iter().enumerate() {
        if probability > best.1 {
            best = (class, probability);
        }
    }
    best
}

/// Softmax of one row, in double precision.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|&logit| (logit - highest).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / total).collect()
}

/// Softmax of every row of logits (n, C), in double precision and without gradient.
pub fn softmax_rows(logits: &Tensor) -> candle_core::Result<Vec<Vec<f64>>> {
    let rows = logits.detach().to_vec2::<f32>()?;
    Ok(rows.iter().map(|row| softmax(&row.iter().map(|&logit| f64::from(logit)).collect::<Vec<f64>>())).collect())
}
