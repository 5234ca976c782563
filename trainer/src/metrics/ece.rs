//! Expected calibration error: how far confidences are from the share of right answers.
//!
//! In: probabilities (one row per face) and labels. Out: the error, and the bins behind it for the reliability diagram.
//! Bins of equal width are what papers report; with few faces most of them stand nearly empty, and bins of equal mass
//! are the fairer measure. Both are Σ_b n_b/N · |accuracy_b − confidence_b| (Naeini et al. 2015; Guo et al. 2017).

use serde::{Deserialize, Serialize};

use crate::margin::largest;

/// Bins of either kind (Guo et al. 2017).
pub const ECE_BINS: usize = 15;

/// One non-empty bin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Position from 0 among all bins, empty ones included.
    pub bin: usize,
    /// Where the bin begins and ends on the confidence axis: its edges where bins have equal width, the lowest and
    /// the highest confidence in it where they have equal mass.
    pub range: (f64, f64),
    /// Faces in it, at least 1.
    pub count: u64,
    /// Share of them that are predicted right.
    pub accuracy: f64,
    /// Mean of their largest probability.
    pub confidence: f64,
}

/// Error over 15 bins of equal width, bin b holding b/15 < confidence ≤ (b + 1)/15, and its non-empty bins. 0 without
/// faces.
pub fn equal_width(probabilities: &[Vec<f64>], labels: &[usize]) -> (f64, Vec<CalibrationBin>) {
    let bins = equal_width_bins(&judged(probabilities, labels));
    (error(&bins), bins)
}

/// Error over at most 15 bins with the same number of faces, as far as that goes: faces of equal confidence are never
/// parted, so that the order of the faces plays no part (adaptive calibration error, Nixon et al. 2019). Of none: 0.
pub fn equal_mass(probabilities: &[Vec<f64>], labels: &[usize]) -> (f64, Vec<CalibrationBin>) {
    let mut judged = judged(probabilities, labels);
    judged.sort_by(|a, b| a.0.total_cmp(&b.0));
    let bins_wanted = ECE_BINS.min(judged.len());
    let mut first_of_equals = 0;
    let placed = judged.iter().enumerate().map(|(rank, &face)| {
        if face.0 > judged[first_of_equals].0 {
            first_of_equals = rank;
        }
        (first_of_equals * bins_wanted / judged.len(), face)
    });
    let bins = gather(placed);
    (error(&bins), bins)
}

/// Mean over classes of the error of that class's probability over 15 bins of equal width, every face counted in every
/// class (classwise ECE, Kull et al. 2019). 0 without faces.
pub fn classwise(probabilities: &[Vec<f64>], labels: &[usize]) -> f64 {
    let classes = probabilities.first().map_or(0, Vec::len);
    let of_class = |class: usize| {
        let judged: Vec<(f64, bool)> =
            probabilities.iter().zip(labels).map(|(row, &label)| (row[class], label == class)).collect();
        error(&equal_width_bins(&judged))
    };
    (0..classes).map(of_class).sum::<f64>() / classes.max(1) as f64
}

/// Confidence of every face, and whether it is right.
fn judged(probabilities: &[Vec<f64>], labels: &[usize]) -> Vec<(f64, bool)> {
    let judge = |(row, &label): (&Vec<f64>, &usize)| {
        let (class, confidence) = largest(row);
        (confidence, class == label)
    };
    probabilities.iter().zip(labels).map(judge).collect()
}

fn equal_width_bins(judged: &[(f64, bool)]) -> Vec<CalibrationBin> {
    let edge = |bin: usize| bin as f64 / ECE_BINS as f64;
    let bin_of = |confidence: f64| (1..ECE_BINS).take_while(|&bin| confidence > edge(bin)).count();
    let mut bins = gather(judged.iter().map(|&face| (bin_of(face.0), face)));
    bins.iter_mut().for_each(|bin| bin.range = (edge(bin.bin), edge(bin.bin + 1)));
    bins
}

/// Bins from (bin, (confidence, right)); their ranges are those of the confidences in them.
fn gather(faces: impl Iterator<Item = (usize, (f64, bool))>) -> Vec<CalibrationBin> {
    let mut bins: Vec<Option<CalibrationBin>> = vec![None; ECE_BINS];
    for (number, (confidence, right)) in faces {
        let empty = CalibrationBin {
            bin: number,
            range: (f64::INFINITY, f64::NEG_INFINITY),
            count: 0,
            accuracy: 0.0,
            confidence: 0.0,
        };
        let bin = bins[number].get_or_insert(empty);
        bin.range = (bin.range.0.min(confidence), bin.range.1.max(confidence));
        bin.count += 1;
        bin.accuracy += f64::from(u8::from(right));
        bin.confidence += confidence;
    }
    // So far these two were sums.
    let mean = |bin: CalibrationBin| CalibrationBin {
        accuracy: bin.accuracy / bin.count as f64,
        confidence: bin.confidence / bin.count as f64,
        ..bin
    };
    bins.into_iter().flatten().map(mean).collect()
}

fn error(bins: &[CalibrationBin]) -> f64 {
    let total: u64 = bins.iter().map(|bin| bin.count).sum();
    let share = |bin: &CalibrationBin| bin.count as f64 / total as f64;
    bins.iter().map(|bin| share(bin) * (bin.accuracy - bin.confidence).abs()).sum()
}
