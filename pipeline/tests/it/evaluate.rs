//! `evaluate` and `predict` as commands: what they print and draw of a checkpoint.

use std::path::Path;

use marginalia_datasets::Classes;
use marginalia_store::tables::rounds::Round;
use marginalia_store::{Corpus, Options};
use marginalia_trainer::calibration::scaled_softmax;
use serde_json::Value;

use crate::binary::Bench;
use crate::predict::trained;

/// Errors of confidences.
const ERRORS: [&str; 5] = ["ece", "ece_equal_mass", "ece_classwise", "nll", "brier"];

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
    for key in ["accuracy", "macro_f1", "mean_recall"].iter().chain(&ERRORS) {
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

/// What `predict` says of one face, and its logits.
fn predict(bench: &Bench) -> (Value, Vec<f64>) {
    let predicted = bench.json(&["predict", bench.path("inbox/000003.png").to_str().unwrap()]);
    let logits = predicted[0]["logits"].as_array().unwrap().iter().map(|logit| logit.as_f64().unwrap()).collect();
    (predicted[0].clone(), logits)
}

/// The last round once more, with this temperature.
async fn set_temperature(bench: &Bench, temperature: f32) {
    let corpus = Corpus::open(&bench.corpus(), Options::default()).await.unwrap();
    let last = corpus.snapshot().await.unwrap().current().unwrap().clone();
    let round = Round { round: last.round + 1, temperature: Some(temperature), ..last };
    corpus.writer().append(vec![round]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_temperature_of_the_round_calibrates_what_it_was_not_fitted_on() {
    let (bench, checkpoint) = trained();
    let (raw, drawn) = evaluate(&bench, &[]);
    assert!(raw["temperature"].is_null() && raw["calibrated"].is_null(), "{raw}");
    assert!(!drawn.contains("T = "), "{drawn}");
    assert!(predict(&bench).0["calibrated_confidence"].is_null());

    set_temperature(&bench, 2.0).await;
    let (evaluated, drawn) = evaluate(&bench, &[]);
    assert_eq!(evaluated["temperature"], 2.0);
    for key in ["accuracy", "macro_f1", "mean_recall", "confusion"].iter().chain(&ERRORS) {
        assert_eq!(evaluated[key], raw[key], "{key} is measured on raw confidences");
    }
    let calibrated = &evaluated["calibrated"];
    for key in ERRORS {
        assert!(calibrated[key].is_f64() && calibrated[key] != raw[key], "{key}: {evaluated}");
    }
    assert!(drawn.contains(&format!("T = 2.00: ECE {:.4}", calibrated["ece"].as_f64().unwrap())), "{drawn}");
    let labelled = bench.path("labelled");
    let told = bench.ok(&["evaluate", "imagefolder", labelled.to_str().unwrap()]);
    let line = format!("under the round's temperature 2.00: NLL {:.4}", calibrated["nll"].as_f64().unwrap());
    assert!(told.contains(&line) && told.contains("mean recall"), "{told}");

    let (image, logits) = predict(&bench);
    for (key, temperature) in [("confidence", 1.0), ("calibrated_confidence", 2.0)] {
        let expected = scaled_softmax(&logits, temperature).into_iter().fold(0.0, f64::max);
        assert!((image[key].as_f64().unwrap() - expected).abs() < 1e-5, "{key}: {image}");
    }

    // A checkpoint by its folder is nobody's round: it has no temperature, and needs no corpus.
    let (place, _) = checkpoint.split_once(", ").unwrap();
    let folder = bench.corpus().join(place.trim_matches('\''));
    assert_eq!(evaluate(&bench, &["--checkpoint", folder.to_str().unwrap()]).0, raw);
    let mut alone = bench.command(&["predict", "inbox/000003.png", "--checkpoint", folder.to_str().unwrap()]);
    let output = alone.env_remove("MARGINALIA_CORPUS").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_prediction_is_the_softmax_of_its_logits() {
    let (bench, _) = trained();
    let ((image, logits), classes) = (predict(&bench), Classes::standard());
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
