//! Bad numbers and too few faces: what a round does with them, and what it says.

use std::sync::Arc;

use image::{ImageFormat, Rgb, RgbImage};
use marginalia_trainer::checkpoint::{STATE_FILE, TEACHER_FILE};
use marginalia_trainer::state_dict::{Entry, TensorFile};
use marginalia_trainer::{
    Control, EpochReport, Error, RoundData, Scorer, Shortage, Start, TrainerConfig, Training, shortages,
};

use crate::synthetic::{Images, classes, config, data};

fn start(config: &TrainerConfig) -> Training {
    Training::new(config.clone(), classes(), 1, Start::Scratch).unwrap()
}

fn run(training: &mut Training, data: &RoundData) -> Result<EpochReport, Error> {
    training.run_epoch(data, &Control::default(), &mut |_| {})
}

/// A training whose first weights are fresh ones that `spoil` has changed.
fn sabotaged(folder: &std::path::Path, spoil: impl Fn(&str, &mut f32)) -> Training {
    let good = folder.join("good");
    start(&config()).save(&good).unwrap();
    let path = good.join(TEACHER_FILE);
    let mut file = TensorFile::read(&path).unwrap();
    for (name, entry) in &mut file.entries {
        if let Entry::Float(array) = entry {
            array.values.iter_mut().for_each(|value| spoil(name, value));
        }
    }
    let spoilt = folder.join("spoilt.safetensors");
    std::fs::write(&spoilt, file.to_bytes()).unwrap();
    Training::new(config(), classes(), 1, Start::Weights(spoilt)).unwrap()
}

/// Features this small and a head this large: the logits are finite, what comes back through the norm is not.
fn overflow_backwards(name: &str, value: &mut f32) {
    match name {
        "fc.weight" => *value = value.signum() * 1e35,
        _ if name.starts_with("layer4") && (name.contains("bn2.weight") || name.contains("downsample.1.weight")) => {
            *value = 1e-6
        }
        _ => {}
    }
}

/// Asserts that the first step stops with `says`, names its faces, and that nothing of it can be saved.
fn assert_stops(mut training: Training, data: &RoundData, says: &str) {
    let error = run(&mut training, data).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(says) && text.contains("step 1"), "{text}");
    let Error::NotFinite { epoch: 1, step: 1, faces, .. } = error else { panic!("{text}") };
    assert_eq!(faces.len(), 12);
    let known: Vec<&str> = data.labelled.iter().map(|face| face.face_id.as_str()).collect();
    assert!(faces[..6].iter().all(|face| known.contains(&face.as_str())), "{faces:?}");
    assert!(faces[6..].iter().all(|face| data.unlabelled.iter().any(|known| known.face_id == *face)), "{faces:?}");
    assert!(faces.iter().all(|face| text.contains(face.as_str())), "{text}");
}

#[test]
fn a_loss_that_is_no_number_stops_the_round() {
    let folder = tempfile::tempdir().unwrap();
    let training = sabotaged(folder.path(), |name, value| {
        if name == "fc.weight" {
            *value = value.signum() * f32::MAX;
        }
    });
    assert_stops(training, &data(4), "the loss became");
}

#[test]
fn a_gradient_that_is_no_number_stops_the_round() {
    let folder = tempfile::tempdir().unwrap();
    let training = sabotaged(folder.path(), overflow_backwards);
    assert_stops(training, &data(4), "the gradient left `");
}

#[test]
fn the_last_good_checkpoint_is_named_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = data(4);
    let mut training = start(&config());
    run(&mut training, &data).unwrap();
    training.save(folder.path()).unwrap();
    let read = || [TEACHER_FILE, STATE_FILE].map(|name| std::fs::read(folder.path().join(name)).unwrap());
    let good = read();

    // Goes on from there with a scale that nothing survives.
    let path = folder.path().join(STATE_FILE);
    let mut file = TensorFile::read(&path).unwrap();
    let Some(Entry::Float(head)) = file.entries.get_mut("student.fc.weight") else { panic!("no head") };
    head.values.iter_mut().for_each(|value| *value = value.signum() * f32::MAX);
    std::fs::write(&path, file.to_bytes()).unwrap();
    let mut training = Training::resume(folder.path()).unwrap();
    std::fs::write(&path, &good[1]).unwrap();

    let error = run(&mut training, &data).unwrap_err();
    assert!(error.to_string().contains(&format!("the last good checkpoint is {}", folder.path().display())), "{error}");
    assert!(matches!(error, Error::NotFinite { epoch: 2, step: 1, .. }), "{error}");
    assert_eq!(read(), good);
    let mut again = Training::resume(folder.path()).unwrap();
    assert_eq!(run(&mut again, &data).unwrap().epoch, 2);
}

#[test]
fn weights_that_are_no_numbers_are_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut training = sabotaged(folder.path(), overflow_backwards);
    run(&mut training, &data(4)).unwrap_err();
    let good = folder.path().join("good");
    let before = std::fs::read(good.join(STATE_FILE)).unwrap();
    let error = training.save(&good).unwrap_err();
    assert!(matches!(&error, Error::NotSaved { path, .. } if *path == good), "{error}");
    assert!(error.to_string().contains("left as it was"), "{error}");
    assert_eq!(std::fs::read(good.join(STATE_FILE)).unwrap(), before);
}

#[test]
fn a_class_without_labels_is_named_and_the_round_runs() {
    let mut data = data(4);
    data.labelled.retain(|face| face.class != 2);
    let names = classes().names().to_vec();
    let missing = shortages(&data, &names);
    assert_eq!(missing, [Shortage::NoLabel { class: "sadness".to_owned() }]);
    assert!(missing[0].to_string().contains("no face is labelled `sadness`"), "{}", missing[0]);

    let config = config();
    let report = run(&mut start(&config), &data).unwrap();
    let class = &report.classes[2];
    assert_eq!((class.labelled, class.right, class.mean_confidence, class.learning_speed), (0, 0, None, None));
    assert!((class.margin - config.margin.empty_class).abs() < 1e-6);
    assert_eq!(report.validation.unwrap().per_class[2].labels, 2);
}

#[test]
fn a_class_with_one_label_is_named_and_the_round_runs() {
    let mut data = data(4);
    let mut seen = 0;
    data.labelled.retain(|face| {
        seen += usize::from(face.class == 1);
        face.class != 1 || seen == 1
    });
    let only = shortages(&data, classes().names());
    assert_eq!(only, [Shortage::OneLabel { class: "happiness".to_owned() }]);
    assert!(only[0].to_string().contains("only one face is labelled `happiness`"), "{}", only[0]);
    assert_eq!(run(&mut start(&config()), &data).unwrap().classes[1].labelled, 1);
}

#[test]
fn without_validation_nothing_is_claimed() {
    let enough = data(4);
    assert_eq!(shortages(&enough, classes().names()), []);
    let none = RoundData { validation: Vec::new(), ..enough.clone() };
    let missing = shortages(&none, classes().names());
    assert_eq!(missing, [Shortage::NoValidation]);
    assert!(missing[0].to_string().contains("--hold-out"), "{}", missing[0]);
    let report = run(&mut start(&config()), &none).unwrap();
    assert_eq!((report.validation, report.calibration), (None, None));

    let mut partly = enough;
    partly.validation.retain(|face| face.class != 0);
    assert_eq!(shortages(&partly, classes().names()), [Shortage::NotValidated { class: "neutral".to_owned() }]);
    let validation = run(&mut start(&config()), &partly).unwrap().validation.unwrap();
    assert_eq!((validation.per_class[0].labels, validation.per_class[0].recall), (0, None));
}

#[test]
fn an_empty_subset_costs_nothing() {
    let data = data(4);
    for (initial, one, two) in [(0.0, 24, 0), (1.0, 0, 24)] {
        let mut config = config();
        config.margin.initial = initial;
        let report = run(&mut start(&config), &data).unwrap();
        assert_eq!((report.subset_one, report.subset_two), (one, two));
        let loss = |name: &str| report.losses.iter().find(|(known, _)| known == name).unwrap().1;
        let of_empty = if one == 0 { loss("unlabelled") } else { loss("contrastive") };
        assert_eq!(of_empty, 0.0);
        assert!(loss("total").is_finite());
    }
}

#[test]
fn images_of_one_pixel_are_faces_like_any_other() {
    let mut pixel = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(1, 1, Rgb([90, 120, 30])).write_to(&mut pixel, ImageFormat::Png).unwrap();
    let pixel = pixel.into_inner();
    let mut data = data(2);
    let count = data.labelled.len() + data.validation.len() + data.unlabelled.len();
    data.source = Arc::new(Images(vec![pixel.clone(); count]));
    let folder = tempfile::tempdir().unwrap();
    let mut training = start(&config());
    let report = run(&mut training, &data).unwrap();
    assert_eq!(report.undecodable, [""; 0]);
    training.save(folder.path()).unwrap();
    let scorer = Scorer::load(folder.path()).unwrap();
    for score in [scorer.predict(&[&pixel]).unwrap(), scorer.score(&[("pixel", &pixel)]).unwrap()] {
        assert!(score[0].as_ref().is_some_and(|score| score.probabilities.iter().all(|p| p.is_finite())));
    }
}
