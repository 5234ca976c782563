//! A saved teacher as a judge: same numbers everywhere, undecodable faces left out.

use marginalia_trainer::calibration::scaled_softmax;
use marginalia_trainer::{Control, Scorer, Start, Training};

use crate::synthetic::{classes, config, data, face};

fn scorer(folder: &std::path::Path) -> (Scorer, Training) {
    let mut training = Training::new(config(), classes(), 7, Start::Scratch).unwrap();
    training.run_epoch(&data(4), &Control::default(), &mut |_| {}).unwrap();
    let info = training.save(folder).unwrap();
    let scorer = Scorer::load(folder).unwrap();
    assert_eq!(scorer.hash(), info.hash);
    (scorer, training)
}

#[test]
fn scores_depend_on_face_and_checkpoint_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (scorer, training) = scorer(folder.path());
    assert_eq!((scorer.round(), scorer.method()), (7, "ada-cm"));
    assert_eq!(scorer.margins(), training.margins());
    assert_eq!(scorer.classes(), ["neutral", "happiness", "sadness"]);
    let mut faces: Vec<(String, Vec<u8>)> = (0..9).map(|n| (format!("id-{n}"), face(n % 3, n as u64))).collect();
    faces.insert(4, ("broken".to_owned(), b"no image".to_vec()));
    let scores = scorer.score(&faces).unwrap();
    assert_eq!(scores.len(), 10);
    assert!(scores[4].is_none());
    for score in scores.iter().flatten() {
        assert!((score.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert_eq!(score.confidence, score.probabilities[score.class]);
        assert!(score.entropy >= 0.0 && score.entropy <= 3f32.ln() + 1e-5);
        assert!(score.top2_gap >= 0.0 && score.top2_gap <= score.confidence);
        assert!(score.mutual_information.is_some_and(|nats| (0.0..=3f32.ln() + 1e-5).contains(&nats)));
        assert_eq!(score.feature.len(), scorer.feature_size());
        assert!((score.feature.iter().map(|value| value * value).sum::<f32>() - 1.0).abs() < 1e-4);
        assert_eq!(scorer.is_subset_one(score), score.confidence >= scorer.margins()[score.class]);
    }
    // Neither order, company nor process matter, to the last bit.
    let again = Scorer::load_with_threads(folder.path(), 1).unwrap();
    for (face, score) in faces.iter().zip(&scores) {
        assert_eq!(again.score(std::slice::from_ref(face)).unwrap().remove(0), *score);
    }
    let renamed: Vec<(String, Vec<u8>)> = faces.iter().map(|(id, image)| (format!("{id}!"), image.clone())).collect();
    assert_ne!(scorer.score(&renamed).unwrap(), scores, "the face's id does not reach its draws");
}

#[test]
fn predictions_use_one_plain_view() {
    let folder = tempfile::tempdir().unwrap();
    let (scorer, _) = scorer(folder.path());
    let images = [face(0, 1), b"no image".to_vec(), face(2, 3)];
    let predicted = scorer.predict(&images).unwrap();
    assert!(predicted[0].as_ref().is_some_and(|score| score.mutual_information.is_none()));
    assert!(predicted[0].is_some() && predicted[1].is_none() && predicted[2].is_some());
    assert_eq!(scorer.predict(&images).unwrap(), predicted);
    assert_eq!(scorer.predict::<Vec<u8>>(&[]).unwrap(), Vec::new());
}

#[test]
fn logits_are_what_predictions_come_from() {
    let folder = tempfile::tempdir().unwrap();
    let (scorer, _) = scorer(folder.path());
    let images = [face(0, 1), b"no image".to_vec(), face(2, 3)];
    let both = scorer.predict_with_logits(&images).unwrap();
    assert!(both[1].is_none());
    let scores: Vec<_> = both.iter().map(|answer| answer.as_ref().map(|(score, _)| score.clone())).collect();
    assert_eq!(scores, scorer.predict(&images).unwrap());
    for (score, logits) in both.iter().flatten() {
        let logits: Vec<f64> = logits.iter().map(|logit| f64::from(*logit)).collect();
        for temperature in [0.5, 1.0, 3.0] {
            let expected = scaled_softmax(&logits, temperature);
            let calibrated = f64::from(score.calibrated_confidence(temperature));
            assert!((calibrated - expected[score.class]).abs() < 1e-5, "{calibrated} instead of {expected:?}");
        }
        assert!((score.calibrated_confidence(1.0) - score.confidence).abs() < 1e-6);
        assert!(score.calibrated_confidence(3.0) < score.confidence);
        // The subset is decided by the raw confidence alone.
        assert_eq!(scorer.is_subset_one(score), score.confidence >= scorer.margins()[score.class]);
    }
}

#[test]
fn a_folder_without_a_teacher_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = Scorer::load(folder.path()).err().unwrap().to_string();
    assert!(error.contains("teacher.safetensors"), "{error}");
}
