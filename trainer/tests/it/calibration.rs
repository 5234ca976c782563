//! Temperature scaling: what it may change and what not, cross-fitting, and where no temperature is best.

use marginalia_trainer::calibration::{
    Calibration, FEW_FACES, FOLDS, cross_fit, logits_of, scaled_softmax, temperature,
};
use marginalia_trainer::margin::{largest, softmax};
use marginalia_trainer::metrics::nll;
use marginalia_trainer::streams::{Purpose, Streams};
use proptest::prelude::*;

fn scaled(logits: &[Vec<f64>], temperature: f64) -> Vec<Vec<f64>> {
    logits.iter().map(|row| scaled_softmax(row, temperature)).collect()
}

/// Labels drawn from softmax(logits), and the logits times `sharpness`: the right temperature is `sharpness`.
fn drawn(faces: usize, classes: usize, sharpness: f64, seed: u64) -> (Vec<Vec<f64>>, Vec<usize>) {
    let mut stream = Streams::new(seed, 0).stream(0, 0, Purpose::Method, 0);
    let mut draw = || {
        let row: Vec<f64> = (0..classes).map(|_| 2.0 * stream.normal()).collect();
        let mut left = stream.uniform(0.0, 1.0);
        let label = softmax(&row).iter().position(|p| {
            left -= p;
            left < 0.0
        });
        (row.iter().map(|logit| logit * sharpness).collect(), label.unwrap_or(classes - 1))
    };
    (0..faces).map(|_| draw()).unzip()
}

#[test]
fn two_classes_by_hand() {
    // Logits (1, 0), three of four right: softmax must say 3/4, so 1/T = ln 3.
    let logits = vec![vec![1.0, 0.0]; 4];
    let labels = [0, 0, 0, 1];
    assert!((temperature(&logits, &labels) - 1.0 / 3f64.ln()).abs() < 1e-9);
    let fitted = Calibration::fit(&logits, &labels, 2).unwrap();
    assert!((fitted.temperature - 1.0 / 3f64.ln()).abs() < 1e-9);
    // Variance of the logits 3/16 per face, information 3/4, standard error of ln T = T / √(3/4).
    let error = fitted.temperature / 0.75f64.sqrt();
    assert!((fitted.interval.1 - fitted.temperature * (1.959_964 * error).exp()).abs() < 1e-4, "{:?}", fitted.interval);
}

#[test]
fn the_temperature_that_made_the_labels_is_found() {
    for sharpness in [0.3, 1.0, 4.0] {
        let (logits, labels) = drawn(4000, 7, sharpness, 1);
        let fitted = Calibration::fit(&logits, &labels, 7).unwrap();
        assert_eq!(fitted.folds, 0);
        assert!((fitted.temperature / sharpness - 1.0).abs() < 0.06, "{sharpness}: {}", fitted.temperature);
        assert!(fitted.interval.0 < sharpness && sharpness < fitted.interval.1, "{sharpness}: {:?}", fitted.interval);
        assert!(fitted.metrics.ece < 0.03, "{}", fitted.metrics.ece);
    }
}

#[test]
fn the_interval_covers_the_truth_as_often_as_it_says() {
    let covers = |seed: &u64| {
        let (logits, labels) = drawn(150, 7, 2.0, *seed);
        let (low, high) = Calibration::fit(&logits, &labels, 7).unwrap().interval;
        low <= 2.0 && 2.0 <= high
    };
    let covered = (0..200).filter(covers).count();
    assert!((180..=199).contains(&covered), "{covered} of 200 at 95 %");
}

#[test]
fn few_faces_are_judged_by_temperatures_that_have_not_seen_them() {
    let (logits, labels) = drawn(FEW_FACES - 1, 7, 3.0, 2);
    let fitted = Calibration::fit(&logits, &labels, 7).unwrap();
    assert_eq!(fitted.folds, FOLDS);
    let crossed = cross_fit(&logits, &labels, FOLDS);
    assert_eq!(crossed.temperatures.len(), FOLDS);
    for part in 0..FOLDS {
        let (out, own): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(|&face| crossed.fold[face] != part);
        let others: Vec<Vec<f64>> = out.iter().map(|&face| logits[face].clone()).collect();
        let other_labels: Vec<usize> = out.iter().map(|&face| labels[face]).collect();
        assert_eq!(crossed.temperatures[part], temperature(&others, &other_labels));
        for face in own {
            assert_eq!(crossed.probabilities[face], scaled_softmax(&logits[face], crossed.temperatures[part]));
        }
        for class in 0..7 {
            let of_class = labels.iter().filter(|&&label| label == class).count();
            let here = (0..labels.len()).filter(|&face| labels[face] == class && crossed.fold[face] == part).count();
            assert!(here.abs_diff(of_class / FOLDS) <= 1, "class {class}: {here} of {of_class} in fold {part}");
        }
    }
    // Judged by its own faces, a temperature looks better than it is.
    assert!(fitted.metrics.nll >= nll(&scaled(&logits, fitted.temperature), &labels));
}

#[test]
fn where_no_temperature_is_best_there_is_none() {
    let sure = vec![vec![2.0, 0.0, 1.0], vec![0.0, 3.0, 0.0]];
    assert_eq!(Calibration::fit(&[], &[], 3), None);
    assert_eq!(Calibration::fit(&sure, &[0, 1], 3), None, "every face is right");
    assert_eq!(Calibration::fit(&sure, &[1, 0], 3), None, "every face has its lowest class");
    assert_eq!(Calibration::fit(&vec![vec![1.0; 3]; 4], &[0, 1, 2, 0], 3), None, "the logits say nothing");
    // A single wrong face decides its fold: the others are all right, and stay as they are.
    let logits = vec![vec![1.0, 0.0]; 10];
    let crossed = cross_fit(&logits, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1], FOLDS);
    assert_eq!(crossed.temperatures.iter().filter(|&&temperature| temperature == 1.0).count(), 1);
}

proptest! {
    #[test]
    fn a_temperature_changes_no_prediction(
        logits in proptest::collection::vec(-30.0f64..30.0, 2..9), exponent in -2.0f64..2.0
    ) {
        let probabilities = scaled_softmax(&logits, 10f64.powf(exponent));
        prop_assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        let (before, after) = (largest(&logits).0, largest(&probabilities).0);
        // Far apart at a low temperature, or close at a high one, two classes may round to the same probability.
        prop_assert!(before == after || probabilities[before] == probabilities[after]);
    }

    #[test]
    fn temperature_one_leaves_probabilities_as_they_are(
        logits in proptest::collection::vec(-30.0f64..30.0, 2..9)
    ) {
        let plain = softmax(&logits);
        prop_assert_eq!(&scaled_softmax(&logits, 1.0), &plain);
        for (found, expected) in scaled_softmax(&logits_of(&plain), 1.0).iter().zip(&plain) {
            prop_assert!((found - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn probabilities_stand_in_for_their_logits(
        logits in proptest::collection::vec(-30.0f64..30.0, 2..9), temperature in 0.1f64..10.0
    ) {
        let direct = scaled_softmax(&logits, temperature);
        let through = scaled_softmax(&logits_of(&softmax(&logits)), temperature);
        for (direct, through) in direct.iter().zip(&through) {
            prop_assert!((direct - through).abs() < 1e-9);
        }
    }

    #[test]
    fn the_fitted_temperature_is_no_worse_than_any_other(
        rows in proptest::collection::vec((proptest::collection::vec(-4.0f64..4.0, 5), 0usize..5), 1..40),
        other in -2.0f64..2.0
    ) {
        let (logits, labels): (Vec<Vec<f64>>, Vec<usize>) = rows.into_iter().unzip();
        let fitted = nll(&scaled(&logits, temperature(&logits, &labels)), &labels);
        prop_assert!(fitted <= nll(&scaled(&logits, 1.0), &labels) + 1e-9);
        prop_assert!(fitted <= nll(&scaled(&logits, 10f64.powf(other)), &labels) + 1e-9);
        if let Some(calibration) = Calibration::fit(&logits, &labels, 5) {
            let (low, high) = calibration.interval;
            prop_assert!(low <= calibration.temperature && calibration.temperature <= high);
            // Cross-fitting turns every row by some temperature: the predictions are the same.
            let plain: Vec<Vec<f64>> = scaled(&logits, 1.0);
            let right = plain.iter().zip(&labels).filter(|(row, label)| largest(row).0 == **label).count();
            prop_assert_eq!(calibration.metrics.accuracy, right as f64 / labels.len() as f64);
        }
    }
}
