//! How good predictions are: accuracy, F1, calibration, and intervals.
//!
//! In: probabilities (one row per face) and labels. The predicted class is the one with the largest probability, ties
//! to the lowest. What is undefined is `None`, never 0.

pub mod ece;

use serde::{Deserialize, Serialize};

pub use crate::calibration::temperature;
use crate::margin::largest;
use ece::CalibrationBin;

/// Lowest probability that enters the log-likelihood.
const CLIP: f64 = 1e-12;
/// The normal quantile of a two-sided 95 % interval.
pub(crate) const Z95: f64 = 1.959_963_984_540_054;

/// Measures of one set of predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Faces measured.
    pub count: u64,
    /// Share of right predictions.
    pub accuracy: f64,
    /// Mean F1 over classes that have labels or predictions.
    pub macro_f1: f64,
    /// Mean recall over classes that have labels.
    pub mean_recall: f64,
    /// Per class, in class order.
    pub per_class: Vec<ClassMetrics>,
    /// Faces by true class (row) and predicted class (column).
    pub confusion: Vec<Vec<u64>>,
    /// Expected calibration error over 15 bins of equal width.
    pub ece: f64,
    /// The non-empty bins behind it.
    pub ece_bins: Vec<CalibrationBin>,
    /// Expected calibration error over at most 15 bins of equal mass.
    pub ece_equal_mass: f64,
    /// The bins behind it.
    pub equal_mass_bins: Vec<CalibrationBin>,
    /// Mean over classes of the calibration error of that class's probability.
    pub ece_classwise: f64,
    /// Mean negative log-likelihood of the labels.
    pub nll: f64,
    /// Mean squared distance of the probabilities to the labels, summed over classes.
    pub brier: f64,
}

/// Measures of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// Faces of this class.
    pub labels: u64,
    /// Faces predicted as this class.
    pub predictions: u64,
    /// `None` without labels.
    pub recall: Option<f64>,
    /// `None` without predictions.
    pub precision: Option<f64>,
    /// `None` without either; 0 with only one of them.
    pub f1: Option<f64>,
}

impl Metrics {
    /// Measures `probabilities` (one row of `classes` numbers per face) against `labels`; `None` for an empty set.
    pub fn of(probabilities: &[Vec<f64>], labels: &[usize], classes: usize) -> Option<Self> {
        if labels.is_empty() {
            return None;
        }
        let mut confusion = vec![vec![0u64; classes]; classes];
        for (row, &label) in probabilities.iter().zip(labels) {
            confusion[label][largest(row).0] += 1;
        }
        let per_class = per_class(&confusion);
        let right: u64 = (0..classes).map(|class| confusion[class][class]).sum();
        let (ece, ece_bins) = ece::equal_width(probabilities, labels);
        let (ece_equal_mass, equal_mass_bins) = ece::equal_mass(probabilities, labels);
        Some(Self {
            count: labels.len() as u64,
            accuracy: right as f64 / labels.len() as f64,
            macro_f1: mean(per_class.iter().filter_map(|class| class.f1)),
            mean_recall: mean(per_class.iter().filter_map(|class| class.recall)),
            per_class,
            confusion,
            ece,
            ece_bins,
            ece_equal_mass,
            equal_mass_bins,
            ece_classwise: ece::classwise(probabilities, labels),
            nll: nll(probabilities, labels),
            brier: brier(probabilities, labels),
        })
    }
}

fn per_class(confusion: &[Vec<u64>]) -> Vec<ClassMetrics> {
    let ratio = |over: u64, under: u64| (under > 0).then(|| over as f64 / under as f64);
    (0..confusion.len())
        .map(|class| {
            let right = confusion[class][class];
            let labels: u64 = confusion[class].iter().sum();
            let predictions: u64 = confusion.iter().map(|row| row[class]).sum();
            ClassMetrics {
                labels,
                predictions,
                recall: ratio(right, labels),
                precision: ratio(right, predictions),
                f1: ratio(2 * right, labels + predictions),
            }
        })
        .collect()
}

/// Mean negative log-likelihood; probabilities are clipped at 1e-12.
pub fn nll(probabilities: &[Vec<f64>], labels: &[usize]) -> f64 {
    mean(probabilities.iter().zip(labels).map(|(row, &label)| -row[label].max(CLIP).ln()))
}

/// Mean over faces of the squared distance between probabilities and label, summed over classes.
pub fn brier(probabilities: &[Vec<f64>], labels: &[usize]) -> f64 {
    let distance = |(row, &label): (&Vec<f64>, &usize)| {
        row.iter().enumerate().map(|(class, p)| (p - f64::from(u8::from(class == label))).powi(2)).sum()
    };
    mean(probabilities.iter().zip(labels).map(distance))
}

/// Wilson's 95 % interval of a proportion, without continuity correction; [0, 1] without trials.
pub fn wilson(successes: u64, trials: u64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (trials as f64, successes as f64 / trials as f64);
    let square = Z95 * Z95 / n;
    let center = (share + square / 2.0) / (1.0 + square);
    let half = Z95 * (share * (1.0 - share) / n + square / (4.0 * n)).sqrt() / (1.0 + square);
    ((center - half).max(0.0), (center + half).min(1.0))
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}
