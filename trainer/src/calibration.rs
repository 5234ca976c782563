//! Temperature scaling (Guo et al. 2017): one number that makes confidences honest and changes no prediction.
//!
//! In: logits and labels of held-out faces. Out: the temperature for everything scored later, and how well calibrated
//! confidences are, measured on faces that their temperature has not seen where faces are few. Calibrated confidences
//! are for people and for queries; margins are measured and compared on raw ones, and the two are never mixed: a
//! temperature changes the order of confidences across faces.

use serde::{Deserialize, Serialize};

use crate::margin::{largest, softmax};
use crate::metrics::{Metrics, Z95};

/// With fewer held-out faces than this the calibrated confidences are cross-fitted.
pub const FEW_FACES: usize = 200;
/// Folds of cross-fitting.
pub const FOLDS: usize = 5;
/// Temperatures lie between 1/1000 and 1000.
const HIGHEST: f64 = 1000.0;

/// A fitted temperature and what it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// T, fitted on all held-out faces.
    pub temperature: f64,
    /// 95 % interval of T.
    pub interval: (f64, f64),
    /// Folds of cross-fitting behind `metrics`; 0 where faces are many, and T was measured on what it was fitted on.
    pub folds: usize,
    /// Metrics of the calibrated probabilities.
    pub metrics: Metrics,
}

impl Calibration {
    /// Fits and measures on held-out `logits` (one row of `classes` numbers per face) and `labels`.
    ///
    /// `None` where no temperature is best: without faces, where every face is right (ever lower temperatures are ever
    /// better), and where the logits say nothing of the labels (ever higher ones are).
    pub fn fit(logits: &[Vec<f64>], labels: &[usize], classes: usize) -> Option<Self> {
        let temperature = best_temperature(logits, labels)?;
        let folds = if labels.len() < FEW_FACES { FOLDS } else { 0 };
        let probabilities = match folds {
            0 => logits.iter().map(|row| scaled_softmax(row, temperature)).collect(),
            folds => cross_fit(logits, labels, folds).probabilities,
        };
        let metrics = Metrics::of(&probabilities, labels, classes)?;
        Some(Self { temperature, interval: interval(logits, temperature), folds, metrics })
    }
}

/// Calibrated probabilities that no face's own label has touched.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossFit {
    /// Fold of every face.
    pub fold: Vec<usize>,
    /// Temperature of every fold, fitted on the faces of all others; 1 where those have no best one.
    pub temperatures: Vec<f64>,
    /// Softmax of every face's logits under its fold's temperature.
    pub probabilities: Vec<Vec<f64>>,
}

/// Fits a temperature for each of `folds` parts (at least 2) on the faces outside of it. Faces are dealt out class by
/// class in the order given, so that every fold has its share of every class.
pub fn cross_fit(logits: &[Vec<f64>], labels: &[usize], folds: usize) -> CrossFit {
    let folds = folds.max(2);
    let mut by_class: Vec<usize> = (0..labels.len()).collect();
    by_class.sort_by_key(|&face| labels[face]);
    let mut fold = vec![0; labels.len()];
    by_class.iter().enumerate().for_each(|(place, &face)| fold[face] = place % folds);
    let outside = |part: usize| {
        let faces = (0..labels.len()).filter(|&face| fold[face] != part);
        let (logits, labels): (Vec<Vec<f64>>, Vec<usize>) =
            faces.map(|face| (logits[face].clone(), labels[face])).unzip();
        best_temperature(&logits, &labels).unwrap_or(1.0)
    };
    let temperatures: Vec<f64> = (0..folds).map(outside).collect();
    let probabilities = logits.iter().zip(&fold).map(|(row, &part)| scaled_softmax(row, temperatures[part])).collect();
    CrossFit { fold, temperatures, probabilities }
}

/// The temperature T > 0 that minimises the mean NLL of softmax(logits / T), between 0.001 and 1000.
///
/// The NLL is convex in 1/T, so its derivative has one zero, found by bisection.
pub fn temperature(logits: &[Vec<f64>], labels: &[usize]) -> f64 {
    // ln(1/T), so that both ends of the range are met with the same relative precision.
    let (mut low, mut high) = (-HIGHEST.ln(), HIGHEST.ln());
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if slope(logits, labels, middle.exp()) < 0.0 { low = middle } else { high = middle }
    }
    (-(low + high) / 2.0).exp()
}

/// As [`temperature`], and `None` where the NLL has no minimum within the range.
fn best_temperature(logits: &[Vec<f64>], labels: &[usize]) -> Option<f64> {
    let all_right = logits.iter().zip(labels).all(|(row, &label)| largest(row).0 == label);
    let says_something = slope(logits, labels, 1.0 / HIGHEST) < 0.0;
    (!all_right && says_something).then(|| temperature(logits, labels))
}

/// Derivative of the mean NLL of softmax(β · logits) with respect to β.
fn slope(logits: &[Vec<f64>], labels: &[usize], inverse: f64) -> f64 {
    let of_face = |(row, &label): (&Vec<f64>, &usize)| moments(row, inverse).0 - row[label];
    logits.iter().zip(labels).map(of_face).sum::<f64>() / labels.len().max(1) as f64
}

/// T · e^(±1.96 s), s the standard error of ln T from the Fisher information of β = 1/T, which is the sum over faces of
/// the variance of the logits under softmax(β · logits).
fn interval(logits: &[Vec<f64>], temperature: f64) -> (f64, f64) {
    let information: f64 = logits.iter().map(|row| moments(row, 1.0 / temperature).1).sum();
    let factor = (Z95 * temperature / information.sqrt()).exp();
    ((temperature / factor).max(1.0 / HIGHEST), (temperature * factor).min(HIGHEST))
}

/// Mean and variance of a row's logits under softmax(β · logits).
fn moments(row: &[f64], inverse: f64) -> (f64, f64) {
    let probabilities = scaled_softmax(row, 1.0 / inverse);
    let mean: f64 = probabilities.iter().zip(row).map(|(p, logit)| p * logit).sum();
    (mean, probabilities.iter().zip(row).map(|(p, logit)| p * (logit - mean).powi(2)).sum())
}

/// Softmax of logits divided by a temperature.
pub fn scaled_softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    softmax(&logits.iter().map(|logit| logit / temperature).collect::<Vec<f64>>())
}

/// Logits of probabilities, up to the constant per row that softmax does not see: of mean predictions over several
/// views too, which have no logits of their own.
pub fn logits_of(probabilities: &[f64]) -> Vec<f64> {
    probabilities.iter().map(|probability| probability.max(f64::MIN_POSITIVE).ln()).collect()
}
