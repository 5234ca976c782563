//! Accuracy, F1, calibration, temperature and intervals against the reference.

use marginalia_trainer::Metrics;
use marginalia_trainer::calibration::{scaled_softmax, temperature};
use marginalia_trainer::margin::softmax;
use marginalia_trainer::metrics::ece::{CalibrationBin, classwise, equal_mass, equal_width};
use marginalia_trainer::metrics::{nll, wilson};
use proptest::prelude::*;

use crate::reference::{assert_close, case, indices, numbers, optional, rows};

const TOLERANCE: f64 = 1e-6;

#[test]
fn classification_follows_the_reference() {
    let Some(file) = case("classification_follows_the_reference", "metrics.json") else { return };
    let given = &file["classification"];
    let expected = &given["expect"];
    let probabilities = rows(&given["probabilities"]);
    let metrics = Metrics::of(&probabilities, &indices(&given["labels"]), probabilities[0].len()).unwrap();
    let close = |found: f64, key: &str| assert_close(&[found], &numbers(&expected[key]), 0.0, TOLERANCE, key);
    close(metrics.accuracy, "accuracy");
    close(metrics.macro_f1, "macro_f1");
    close(metrics.mean_recall, "mean_recall");
    close(metrics.ece, "ece_15");
    close(metrics.nll, "nll");
    close(metrics.brier, "brier");
    let confusion: Vec<f64> = metrics.confusion.iter().flatten().map(|&count| count as f64).collect();
    assert_close(&confusion, &numbers(&expected["confusion_true_by_predicted"]), 0.0, 0.0, "confusion");
    let per_class = |pick: fn(&marginalia_trainer::metrics::ClassMetrics) -> Option<f64>, key: &str| {
        for (class, expected) in metrics.per_class.iter().zip(optional(&expected[key])) {
            match (pick(class), expected) {
                (Some(found), Some(expected)) => assert!((found - expected).abs() <= TOLERANCE, "{key}"),
                (found, expected) => assert_eq!(found, expected, "{key}"),
            }
        }
    };
    per_class(|class| class.f1, "f1");
    per_class(|class| class.recall, "recall");
    per_class(|class| class.precision, "precision");
    let bins: Vec<f64> = metrics
        .ece_bins
        .iter()
        .flat_map(|bin| [bin.bin as f64, bin.count as f64, bin.accuracy, bin.confidence])
        .collect();
    let expected = numbers(&expected["ece_bins_number_count_accuracy_confidence"]);
    assert_close(&bins, &expected, 0.0, TOLERANCE, "ece bins");
}

#[test]
fn temperature_follows_the_reference() {
    let Some(file) = case("temperature_follows_the_reference", "metrics.json") else { return };
    let mut seen = 0;
    for (name, given) in file["temperature_scaling"].as_object().unwrap().iter().filter(|(_, v)| v.is_object()) {
        let (logits, labels, expected) = (rows(&given["logits"]), indices(&given["labels"]), &given["expect"]);
        let fitted = temperature(&logits, &labels);
        assert_close(&[fitted], &numbers(&expected["temperature"]), 1e-3, 0.0, name);
        let before: Vec<Vec<f64>> = logits.iter().map(|row| softmax(row)).collect();
        let after: Vec<Vec<f64>> = logits.iter().map(|row| scaled_softmax(row, fitted)).collect();
        assert_close(&[nll(&before, &labels)], &numbers(&expected["nll_before"]), 0.0, TOLERANCE, name);
        assert_close(&[nll(&after, &labels)], &numbers(&expected["nll_after"]), 0.0, TOLERANCE, name);
        let ece = [equal_width(&before, &labels).0, equal_width(&after, &labels).0];
        let expected = [numbers(&expected["ece_15_before"]), numbers(&expected["ece_15_after"])].concat();
        assert_close(&ece, &expected, 0.0, 1e-5, name);
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn wilson_follows_the_reference() {
    let Some(file) = case("wilson_follows_the_reference", "metrics.json") else { return };
    for row in rows(&file["wilson"]["successes_trials_low_high"]) {
        let (low, high) = wilson(row[0] as u64, row[1] as u64);
        assert_close(&[low, high], &row[2..], 0.0, TOLERANCE, "wilson");
    }
}

/// Four faces of two classes: confidences 0.9 (right), 0.9 (wrong), 0.8 (right), 0.6 (right).
fn four() -> (Vec<Vec<f64>>, Vec<usize>) {
    (vec![vec![0.9, 0.1], vec![0.9, 0.1], vec![0.2, 0.8], vec![0.6, 0.4]], vec![0, 1, 1, 0])
}

#[test]
fn equal_width_bins_by_hand() {
    let (probabilities, labels) = four();
    // 0.6 = 9/15 closes bin 8, 0.8 = 12/15 closes bin 11, 0.9 lies in bin 13.
    let (error, bins) = equal_width(&probabilities, &labels);
    let found: Vec<(usize, u64, f64)> = bins.iter().map(|bin| (bin.bin, bin.count, bin.accuracy)).collect();
    assert_eq!(found, [(8, 1, 1.0), (11, 1, 1.0), (13, 2, 0.5)]);
    assert_eq!(bins[2].range, (13.0 / 15.0, 14.0 / 15.0));
    assert!((error - (0.25 * 0.4 + 0.25 * 0.2 + 0.5 * 0.4)).abs() < 1e-12, "{error}");
}

#[test]
fn equal_mass_bins_by_hand() {
    let (probabilities, labels) = four();
    // Four bins for four faces; the two of equal confidence stay together in the first of theirs.
    let (error, bins) = equal_mass(&probabilities, &labels);
    let found: Vec<(usize, u64, (f64, f64))> = bins.iter().map(|bin| (bin.bin, bin.count, bin.range)).collect();
    assert_eq!(found, [(0, 1, (0.6, 0.6)), (1, 1, (0.8, 0.8)), (2, 2, (0.9, 0.9))]);
    assert!((error - (0.25 * 0.4 + 0.25 * 0.2 + 0.5 * 0.4)).abs() < 1e-12, "{error}");
    // 150 faces of distinct confidence make 15 bins of 10.
    let many: Vec<Vec<f64>> =
        (0..150).map(|face| vec![0.5 + f64::from(face) / 400.0, 0.5 - f64::from(face) / 400.0]).collect();
    let (error, bins) = equal_mass(&many, &vec![0; 150]);
    assert!(bins.len() == 15 && bins.iter().all(|bin| bin.count == 10));
    let mean = many.iter().map(|row| row[0]).sum::<f64>() / 150.0;
    assert!((error - (1.0 - mean)).abs() < 1e-12);
}

#[test]
fn classwise_error_by_hand() {
    let (probabilities, labels) = four();
    // Class 0: 0.9 (one of two), 0.2 (never), 0.6 (always). Class 1 mirrors it.
    let of_class = 0.5 * 0.4 + 0.25 * 0.2 + 0.25 * 0.4;
    assert!((classwise(&probabilities, &labels) - of_class).abs() < 1e-12);
    assert_eq!(classwise(&[], &[]), 0.0);
}

#[test]
fn an_empty_set_has_no_metrics() {
    assert_eq!(Metrics::of(&[], &[], 7), None);
}

proptest! {
    #[test]
    fn wilson_contains_the_share(trials in 1u64..5000, part in 0.0f64..1.0) {
        let successes = (trials as f64 * part) as u64;
        let (low, high) = wilson(successes, trials);
        let share = successes as f64 / trials as f64;
        prop_assert!(0.0 <= low && low <= share + 1e-12 && share <= high + 1e-12 && high <= 1.0);
    }

    #[test]
    fn measures_stay_in_their_ranges(
        rows in proptest::collection::vec((proptest::collection::vec(-4.0f64..4.0, 5), 0usize..5), 1..40)
    ) {
        let (logits, labels): (Vec<Vec<f64>>, Vec<usize>) = rows.into_iter().unzip();
        let probabilities: Vec<Vec<f64>> = logits.iter().map(|row| softmax(row)).collect();
        let metrics = Metrics::of(&probabilities, &labels, 5).unwrap();
        prop_assert!((0.0..=1.0).contains(&metrics.accuracy) && (0.0..=1.0).contains(&metrics.macro_f1));
        prop_assert!((0.0..=1.0).contains(&metrics.ece) && (0.0..=2.0).contains(&metrics.brier) && metrics.nll >= 0.0);
        prop_assert_eq!(metrics.confusion.iter().flatten().sum::<u64>(), labels.len() as u64);
        prop_assert!((0.0..=1.0).contains(&metrics.ece_equal_mass) && (0.0..=1.0).contains(&metrics.ece_classwise));
        for bins in [&metrics.ece_bins, &metrics.equal_mass_bins] {
            prop_assert_eq!(bins.iter().map(|bin| bin.count).sum::<u64>(), labels.len() as u64);
            prop_assert!(bins.windows(2).all(|pair| pair[0].bin < pair[1].bin && pair[0].range.1 <= pair[1].range.0));
            let holds = |bin: &CalibrationBin| {
                let (low, high) = bin.range;
                low <= bin.confidence + 1e-12 && bin.confidence <= high + 1e-12
            };
            prop_assert!(bins.iter().all(holds));
        }
    }

    #[test]
    fn the_order_of_faces_plays_no_part(
        rows in proptest::collection::vec((0u8..6, 0usize..2), 1..60), turn in 0usize..60
    ) {
        // Few distinct confidences: many ties.
        let face = |&(step, label): &(u8, usize)| {
            let more = f64::from(step) / 10.0;
            (vec![0.5 + more, 0.5 - more], label)
        };
        let (given, labels): (Vec<Vec<f64>>, Vec<usize>) = rows.iter().map(face).unzip();
        let mut turned = rows.clone();
        turned.rotate_left(turn % rows.len());
        let (other, other_labels): (Vec<Vec<f64>>, Vec<usize>) = turned.iter().map(face).unzip();
        prop_assert!((equal_mass(&given, &labels).0 - equal_mass(&other, &other_labels).0).abs() < 1e-12);
    }
}
