//! `evaluate` and `predict` as commands: what they print and draw of a checkpoint.

use std::path::Path;

use marginalia_datasets::Classes;
use marginalia_trainer::calibration::scaled_softmax;
use serde_json::Value;

use crate::binary::Bench;
use crate::predict::trained;

/// What `evaluate` says of the labelled faces, and the reliability diagram it draws.
fn evaluate(bench: &Bench, options: &[&str]) -> (Value, String) {
    let (labelled, charts) = (bench.path("labelled"), bench.path("charts"));
    let paths = ["evaluate", "imagefolder", labelled.to_str().unwrap(), "--charts", charts.to_str().unwrap()];
    let evaluated = bench.json(&[&paths[..], options].concat());
    let drawn = |name: &str| std::fs::read_to_string(charts.join(name)).unwrap();
    for name in ["reliability.svg", "confusion.svg"] {
        assert!(drawn(name).starts_with("<svg") && drawn(name).ends_with("</svg>\n"), "{name}");
    }
    assert_eq!(evaluated["charts"].as_str().map(Path::new), Some(charts.as_path()));
    (evaluated, drawn("reliability.svg"))
}

fn sum(numbers: &Value) -> u64 {
    numbers.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).sum()
}

#[test]
fn an_evaluation_counts_every_face_and_draws_what_it_measured() {
    let (bench, _) = trained();
    let (evaluated, reliability) = evaluate(&bench, &[]);
    assert_eq!((evaluated["count"].as_u64(), evaluated["left_out"].as_u64()), (Some(42), Some(0)));
    for key in ["accuracy", "macro_f1", "mean_recall", "ece", "ece_equal_mass", "ece_classwise", "nll", "brier"] {
        assert!(evaluated[key].is_f64(), "{key}: {evaluated}");
    }
    let (confusion, per_class) =
        (evaluated["confusion"].as_array().unwrap(), evaluated["per_class"].as_array().unwrap());
    let names: Vec<&str> = per_class.iter().map(|of| of["expression"].as_str().unwrap()).collect();
    assert_eq!(names, Classes::standard().names());
    for (class, of) in per_class.iter().enumerate() {
        assert_eq!(sum(&confusion[class]), of["labels"].as_u64().unwrap(), "{of}");
        let said: u64 = confusion.iter().map(|row| row[class].as_u64().unwrap()).sum();
        assert_eq!(said, of["predictions"].as_u64().unwrap(), "{of}");
    }
    let right: u64 = (0..confusion.len()).map(|class| confusion[class][class].as_u64().unwrap()).sum();
    let (accuracy, ece) = (evaluated["accuracy"].as_f64().unwrap(), evaluated["ece"].as_f64().unwrap());
    assert!((accuracy - right as f64 / 42.0).abs() < 1e-12, "{evaluated}");
    let caption = format!("42 faces · accuracy {:.1} % · ECE {ece:.4}", 100.0 * accuracy);
    assert!(reliability.contains(&caption), "{reliability}");
}

#[test]
fn a_prediction_is_the_softmax_of_its_logits() {
    let (bench, _) = trained();
    let predicted = bench.json(&["predict", bench.path("inbox/000003.png").to_str().unwrap()]);
    let (image, classes) = (&predicted[0], Classes::standard());
    let logits: Vec<f64> = image["logits"].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap()).collect();
    assert_eq!(logits.len(), classes.len());
    let expected = scaled_softmax(&logits, 1.0);
    for (name, expected) in classes.names().iter().zip(&expected) {
        let probability = image["probabilities"][name].as_f64().unwrap();
        assert!((probability - expected).abs() < 1e-5, "{name}: {image}");
    }
    let class = classes.index(image["expression"].as_str().unwrap()).unwrap();
    assert!((image["confidence"].as_f64().unwrap() - expected[class]).abs() < 1e-5, "{image}");
    assert!(expected.iter().all(|other| *other <= expected[class]), "{image}");
}
