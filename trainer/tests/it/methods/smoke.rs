//! Every method of the registry on small faces: it trains, its checkpoint goes on, its state is whole after any step.

use std::path::Path;

use candle_core::{Device, Tensor};
use marginalia_trainer::checkpoint::{STATE_FILE, TEACHER_FILE};
use marginalia_trainer::device::Backend;
use marginalia_trainer::learner::{Learner, LearnerState};
use marginalia_trainer::methods::{self, StepBatch};
use marginalia_trainer::network::Architecture;
use marginalia_trainer::state_dict::{StateDict, TensorFile};
use marginalia_trainer::streams::Streams;
use marginalia_trainer::{
    AlignmentTarget, BatchNormOver, Control, EpochReport, MarginUpdate, RoundData, Scorer, Start, TrainerConfig,
    Training,
};

use crate::reference::{assert_close, generated};
use crate::synthetic::{classes, config, data};

/// Every method, and Ada-CM with all its options.
fn configurations() -> Vec<(String, TrainerConfig)> {
    let small = || TrainerConfig { steps_per_epoch: 2, epochs_per_round: 2, width: 0.25, ..config() };
    let named = |name: &str| (name.to_owned(), TrainerConfig { method: name.to_owned(), ..small() });
    let mut configurations: Vec<_> = methods::REGISTRY.iter().map(|(name, _)| named(name)).collect();
    let mut options = small();
    options.margin.update = MarginUpdate::Step;
    options.ada_cm.alignment = AlignmentTarget::Labelled;
    (options.weights.set_valued, options.weights.negative) = (0.5, 0.5);
    options.batch_norm = BatchNormOver::Batch;
    configurations.push(("ada-cm with options".to_owned(), options));
    configurations
}

fn epoch(training: &mut Training, data: &RoundData) -> EpochReport {
    training.run_epoch(data, &Control::default(), &mut |_| {}).unwrap()
}

fn bytes(folder: &Path) -> [Vec<u8>; 2] {
    [TEACHER_FILE, STATE_FILE].map(|file| std::fs::read(folder.join(file)).unwrap())
}

#[test]
fn every_method_trains_and_goes_on_from_its_checkpoint() {
    let data = data(4);
    for (name, config) in configurations() {
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut training = Training::new(config.clone(), classes(), 1, Start::Scratch).unwrap();
        for _ in 0..2 {
            let report = epoch(&mut training, &data);
            assert!(report.losses.len() > 1 || name == "supervised", "{name}: {:?}", report.losses);
            assert!(report.losses.iter().all(|(_, loss)| loss.is_finite()), "{name}: {:?}", report.losses);
        }
        training.save(whole.path()).unwrap();

        let mut training = Training::new(config, classes(), 1, Start::Scratch).unwrap();
        epoch(&mut training, &data);
        training.save(parts.path()).unwrap();
        let mut training = Training::resume(parts.path()).unwrap();
        epoch(&mut training, &data);
        training.save(parts.path()).unwrap();
        assert!(bytes(whole.path()) == bytes(parts.path()), "{name}: a resumed round is another one");
        let scorer = Scorer::load(whole.path()).unwrap();
        assert_eq!(scorer.margins(), training.margins(), "{name}");
    }
}

/// Views of numbers, six faces each.
fn batch(config: &TrainerConfig, step: u32) -> StepBatch {
    let views = methods::build(config, 3).unwrap().views();
    let side = config.image_size;
    let view =
        |name: String| -> Tensor { generated(&name, u64::from(step), &[6, 3, side, side], 1.7).tensor().unwrap() };
    StepBatch {
        labelled: view("x".to_owned()),
        labels: vec![0, 1, 2, 0, 1, 2],
        soft: None,
        weak: (0..views.weak).map(|number| view(format!("w{number}"))).collect(),
        strong: (0..views.strong).map(|number| view(format!("s{number}"))).collect(),
        unlabelled_ids: data(4).unlabelled[..6].iter().map(|face| face.face_id.clone()).collect(),
        progress: f64::from(step) / 4.0,
    }
}

#[test]
fn every_methods_state_is_complete_after_any_step() {
    let data = data(4);
    let streams = Streams::new(1, 1);
    for (name, mut config) in configurations() {
        // So low that FlexMatch remembers something.
        config.threshold = 0.34;
        let architecture = Architecture::new(&config, 3).unwrap();
        let begun = LearnerState::fresh(architecture.initial(&streams));
        let mut learner = Learner::new(&config, architecture, begun).unwrap();
        let mut method = methods::build(&config, 3).unwrap();
        method.begin_round();
        method.begin_epoch(&data);
        for step in 1..=3 {
            let (saved, state) = (learner.state().unwrap(), method.state());
            // The way through a file.
            let state = serde_json::from_str(&state.to_string()).unwrap();
            let mut other = Learner::new(&config, architecture, saved).unwrap();
            let mut restored = methods::build(&config, 3).unwrap();
            restored.restore(&state).unwrap();
            restored.begin_epoch(&data);
            let batch = batch(&config, step);
            let loss = learner.step(method.as_mut(), &batch, streams, 1, step).unwrap();
            let again = other.step(restored.as_mut(), &batch, streams, 1, step).unwrap();
            assert_eq!(loss.parts, again.parts, "{name}, step {step}");
            assert_eq!(method.state(), restored.state(), "{name}, step {step}");
            assert_eq!(method.margins(), restored.margins(), "{name}, step {step}");
            assert!(learner.state().unwrap() == other.state().unwrap(), "{name}, step {step}: other weights");
        }
    }
}

#[test]
fn a_round_may_go_on_with_another_method_and_its_head() {
    let data = data(4);
    let folder = tempfile::tempdir().unwrap();
    let small = |method: &str| TrainerConfig { method: method.to_owned(), steps_per_epoch: 2, width: 0.25, ..config() };
    let auxiliary = |training: &Training| {
        let state = training.learner().state().unwrap();
        let count = |names: Vec<&String>| names.iter().filter(|name| name.starts_with("auxiliary.")).count();
        [count(state.student.keys().collect()), count(state.teacher.keys().collect())]
    };
    let mut training = Training::new(small("ada-cm"), classes(), 1, Start::Scratch).unwrap();
    epoch(&mut training, &data);
    training.save(folder.path()).unwrap();
    let known = training.learner().state().unwrap();
    for (method, heads) in [("remixmatch", 2), ("fixmatch", 0)] {
        let start = Start::Checkpoint(folder.path().to_owned());
        let mut training = Training::new(small(method), classes(), 2, start).unwrap();
        assert_eq!(auxiliary(&training), [heads, heads], "{method}");
        if method == "remixmatch" {
            assert_eq!(training.learner().state().unwrap().student["conv1.weight"], known.student["conv1.weight"]);
        }
        let before = training.learner().state().unwrap();
        epoch(&mut training, &data);
        let after = training.learner().state().unwrap();
        for name in before.student.keys().filter(|name| name.starts_with("auxiliary.")) {
            assert_ne!(before.student[name], after.student[name], "{name} is not trained");
        }
        training.save(folder.path()).unwrap();
        let teacher = TensorFile::read(&folder.path().join(TEACHER_FILE)).unwrap();
        assert!(!teacher.entries.keys().any(|name| name.starts_with("auxiliary.")), "{method}: not torchvision's keys");
        Scorer::load(folder.path()).unwrap();
    }
}

#[test]
fn guesses_and_turned_faces_leave_running_statistics_alone() {
    let config = TrainerConfig {
        method: "remixmatch".to_owned(),
        width: 0.25,
        steps_per_epoch: 2,
        epochs_per_round: 2,
        ..config()
    };
    let architecture = Architecture::new(&config, 3).unwrap();
    let begun = LearnerState::fresh(architecture.initial(&Streams::new(1, 1)));
    let mut learner = Learner::new(&config, architecture, begun).unwrap();
    let mut method = methods::build(&config, 3).unwrap();
    learner.loss(method.as_mut(), &batch(&config, 1), Streams::new(1, 1), 1, 1).unwrap();
    // The four mixed views count; the guess, the strong view that is not mixed and the turned one do not.
    assert_eq!(learner.student().batches(), 4);

    let over = |batch_norm| {
        let config = TrainerConfig { batch_norm, method: "fixmatch".to_owned(), ..config.clone() };
        let architecture = Architecture::new(&config, 3).unwrap();
        let begun = LearnerState::fresh(architecture.initial(&Streams::new(1, 1)));
        let mut learner = Learner::new(&config, architecture, begun).unwrap();
        let mut method = methods::build(&config, 3).unwrap();
        learner.loss(method.as_mut(), &batch(&config, 1), Streams::new(1, 1), 1, 1).unwrap();
        (learner.student().batches(), learner.student().buffers().clone())
    };
    let ((views, of_views), (batches, of_batches)) = (over(BatchNormOver::View), over(BatchNormOver::Batch));
    assert_eq!((views, batches), (3, 1));
    assert_ne!(of_views, of_batches);
}

#[test]
fn candles_operators_give_every_method_what_the_engine_gives() {
    let data = data(4);
    let streams = Streams::new(1, 1);
    for (name, config) in configurations() {
        let architecture = Architecture::new(&config, 3).unwrap();
        let initial = architecture.initial(&streams);
        let first_step = |backend: Backend| {
            let begun = LearnerState::fresh(initial.clone());
            let mut learner = Learner::on(backend, &config, architecture, begun).unwrap();
            let mut method = methods::build(&config, 3).unwrap();
            method.begin_epoch(&data);
            let loss = learner.step(method.as_mut(), &batch(&config, 1), streams, 1, 1).unwrap();
            (loss.parts, learner.state().unwrap().moments.first)
        };
        let (parts, moments) = first_step(Backend::Engine);
        let (found, found_moments) = first_step(Backend::Candle(Device::Cpu));
        for ((part, expected), (_, found)) in parts.iter().zip(&found) {
            assert_close(&[*found], &[*expected], 1e-3, 1e-4, &format!("{name}: {part}"));
        }
        // Adam's first moment after one step is a tenth of the gradient: where one arrives, the other does.
        let reached = |moments: &StateDict| -> Vec<String> {
            let moved = moments.iter().filter(|(_, array)| array.values.iter().any(|value| *value != 0.0));
            moved.map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(reached(&moments), reached(&found_moments), "{name}");
    }
}
