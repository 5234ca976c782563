//! The warm start: what it teaches and leaves alone, when it comes, and that it repeats.

use std::path::Path;
use std::sync::Arc;

use marginalia_trainer::checkpoint::{STATE_FILE, TEACHER_FILE};
use marginalia_trainer::learner::LearnerState;
use marginalia_trainer::{Control, EpochReport, Error, RoundData, Start, StepReport, TrainerConfig, Training};

use crate::synthetic::{Images, classes, config, data};

fn warm(warm_start_steps: u32) -> TrainerConfig {
    TrainerConfig { warm_start_steps, ..config() }
}

fn start(config: &TrainerConfig) -> Training {
    Training::new(config.clone(), classes(), 1, Start::Scratch).unwrap()
}

/// An epoch, and the steps of the warm start before it.
fn epoch(training: &mut Training, data: &RoundData) -> (EpochReport, Vec<StepReport>) {
    let mut steps = Vec::new();
    let report = training.run_epoch(data, &Control::default(), &mut |step| steps.push(step)).unwrap();
    let of_epoch = steps.iter().filter(|step| step.epoch == report.epoch).count();
    assert_eq!(of_epoch, training.config().steps_per_epoch as usize);
    steps.retain(|step| step.epoch == 0);
    (report, steps)
}

/// Runs the warm start and nothing else.
fn only_warm_start(config: &TrainerConfig, data: &RoundData) -> (Training, Vec<f64>) {
    let (mut training, control, mut losses) = (start(config), Control::default(), Vec::new());
    let stopped = training.run_epoch(data, &control, &mut |step| {
        assert_eq!((step.epoch, step.steps, step.split), (0, config.warm_start_steps, 0));
        assert_eq!(step.losses.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["total", "contrastive"]);
        losses.push(step.losses[1].1);
        if step.step == step.steps {
            control.cancel();
        }
    });
    assert!(matches!(stopped, Err(Error::Cancelled)));
    (training, losses)
}

fn bytes(folder: &Path) -> [Vec<u8>; 2] {
    [TEACHER_FILE, STATE_FILE].map(|file| std::fs::read(folder.join(file)).unwrap())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn features_learn_to_tell_faces_apart() {
    let losses = |learning_rate| {
        let config = TrainerConfig { width: 1.0, learning_rate, dropout: 0.0, ..warm(100) };
        only_warm_start(&config, &data(4)).1
    };
    let learning = losses(2e-3);
    let (first, last) = (mean(&learning[..20]), mean(&learning[80..]));
    assert!(last < first - 0.08, "{first} became {last}: {learning:?}");
    // The same views tell how hard they are.
    let idle = mean(&losses(1e-9)[80..]);
    assert!(last < idle - 0.08, "{last} with learning, {idle} without");
}

#[test]
fn a_warm_backbone_is_all_that_is_left_of_it() {
    let config = warm(3);
    let cold = start(&config).learner().state().unwrap();
    let warm = only_warm_start(&config, &data(4)).0.learner().state().unwrap();
    assert_eq!(warm, LearnerState::fresh(warm.student.clone()), "teacher, Adam and counters begin anew");
    let same: Vec<&String> =
        cold.student.iter().filter(|(name, array)| warm.student[*name] == **array).map(|(name, _)| name).collect();
    assert_eq!(same, ["fc.bias", "fc.weight"]);
}

#[test]
fn a_warm_start_repeats_itself_and_is_not_repeated_after_an_epoch() {
    let data = data(4);
    let config = warm(3);
    let whole = || {
        let folder = tempfile::tempdir().unwrap();
        let mut training = start(&config);
        let (first, steps) = epoch(&mut training, &data);
        assert_eq!((first.steps, steps.len()), (4, 3));
        assert!(epoch(&mut training, &data).1.is_empty());
        training.save(folder.path()).unwrap();
        bytes(folder.path())
    };
    let once = whole();
    assert!(once == whole());

    let parts = tempfile::tempdir().unwrap();
    let mut training = start(&config);
    // A training that is saved before its first epoch is as cold as it was.
    training.save(parts.path()).unwrap();
    let mut training = Training::resume(parts.path()).unwrap();
    assert_eq!(epoch(&mut training, &data).1.len(), 3);
    training.save(parts.path()).unwrap();
    let mut training = Training::resume(parts.path()).unwrap();
    assert!(epoch(&mut training, &data).1.is_empty());
    training.save(parts.path()).unwrap();
    assert!(once == bytes(parts.path()), "a resumed round is another one");

    let cold = tempfile::tempdir().unwrap();
    let mut training = start(&warm(0));
    (0..2).for_each(|_| assert!(epoch(&mut training, &data).1.is_empty()));
    training.save(cold.path()).unwrap();
    assert!(once[0] != bytes(cold.path())[0]);
}

#[test]
fn only_rounds_from_scratch_are_warmed_up() {
    let data = data(4);
    let folder = tempfile::tempdir().unwrap();
    start(&config()).save(folder.path()).unwrap();
    let weights = folder.path().join(TEACHER_FILE);
    for known in [Start::Checkpoint(folder.path().to_owned()), Start::Weights(weights)] {
        let mut training = Training::new(warm(3), classes(), 2, known.clone()).unwrap();
        assert!(epoch(&mut training, &data).1.is_empty(), "{known:?}");
    }
}

#[test]
fn labelled_faces_alone_will_do_and_undecodable_ones_are_named() {
    let data = data(4);
    let mut images: Vec<Vec<u8>> = (0..data.labelled.len() as u64 + data.validation.len() as u64)
        .map(|index| data.source.images(&[index]).unwrap().remove(0))
        .collect();
    images[data.labelled[5].index as usize] = b"no image".to_vec();
    let data = RoundData { unlabelled: Vec::new(), source: Arc::new(Images(images)), ..data };
    // 12 faces in each of two steps: all of them, twice.
    let config = TrainerConfig { method: "supervised".to_owned(), ..warm(2) };
    let (report, steps) = epoch(&mut start(&config), &data);
    assert!(steps.iter().all(|step| step.losses[1].1 > 0.0), "{steps:?}");
    assert_eq!(report.undecodable, [data.labelled[5].face_id.clone()]);
}
