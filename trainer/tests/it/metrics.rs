//! Accuracy, F1, calibration, temperature and intervals against the reference.

use marginalia_trainer::Metrics;
use marginalia_trainer::margin::softmax;
use marginalia_trainer::metrics::{calibration, nll, scaled_softmax, temperature, wilson};
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
        let ece = [calibration(&before, &labels).0, calibration(&after, &labels).0];
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
        // The fitted temperature is no worse than none.
        let fitted = temperature(&logits, &labels);
        let scaled: Vec<Vec<f64>> = logits.iter().map(|row| scaled_softmax(row, fitted)).collect();
        prop_assert!(nll(&scaled, &labels) <= metrics.nll + 1e-9);
    }
}
