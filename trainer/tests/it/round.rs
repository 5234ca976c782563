//! Whole rounds on small faces: learning, repeating, resuming, continuing, and what happens to bad input.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use marginalia_trainer::checkpoint::{STATE_FILE, TEACHER_FILE};
use marginalia_trainer::state_dict::{Entry, TensorFile};
use marginalia_trainer::{
    Control, EpochReport, Error, FaceSource, RoundData, Start, StepReport, TrainerConfig, Training,
};

use crate::synthetic::{Images, classes, config, data};

fn start(config: &TrainerConfig) -> Training {
    Training::new(config.clone(), classes(), 1, Start::Scratch).unwrap()
}

fn epoch(training: &mut Training, data: &RoundData) -> EpochReport {
    training.run_epoch(data, &Control::default(), &mut |_| {}).unwrap()
}

fn bytes(folder: &Path) -> (Vec<u8>, Vec<u8>) {
    (std::fs::read(folder.join(TEACHER_FILE)).unwrap(), std::fs::read(folder.join(STATE_FILE)).unwrap())
}

#[test]
fn a_small_network_learns_with_ada_cm() {
    let config = TrainerConfig { steps_per_epoch: 40, width: 1.0, learning_rate: 2e-3, ..config() };
    let data = data(12);
    let mut training = start(&config);
    let mut steps = Vec::new();
    let mut last = training.run_epoch(&data, &Control::default(), &mut |step| steps.push(step)).unwrap();
    assert_eq!(steps.len(), 40);
    assert_eq!(steps[39].step, 40);
    assert!(steps.iter().all(|step| step.split == 6 && step.accepted <= 6));
    for _ in 1..3 {
        last = epoch(&mut training, &data);
    }
    assert_eq!((last.epoch, last.t, last.steps), (3, 3, 120));
    let validation = last.validation.as_ref().unwrap();
    assert!(validation.accuracy > 0.8, "accuracy {} after 120 steps", validation.accuracy);
    assert!(last.labelled_accuracy > 0.8, "{last:?}");
    assert_eq!(last.subset_one + last.subset_two, 40 * 6, "every unlabelled sample is used");
    assert_eq!(last.classes.iter().map(|class| class.accepted).sum::<u64>(), last.subset_one);
    assert!(training.is_finished());
    for class in &last.classes {
        let mean = class.mean_confidence.unwrap();
        let expected = 0.97 * mean / (1.0 + (-3.0f64).exp());
        assert!((class.margin - expected).abs() < 1e-6, "{class:?}");
        assert_eq!(class.labelled, 12);
    }
}

#[test]
fn supervised_needs_no_unlabelled_faces() {
    let config = TrainerConfig { method: "supervised".to_owned(), ..config() };
    let data = RoundData { unlabelled: Vec::new(), ..data(4) };
    let report = epoch(&mut start(&config), &data);
    assert_eq!((report.subset_one, report.subset_two, report.acceptance_rate), (0, 0, None));
    assert_eq!(report.losses.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["total", "supervised"]);
}

#[test]
fn one_seed_gives_one_checkpoint_whatever_the_loader_does() {
    let data = data(4);
    for threads in [1, 2] {
        let run = |loader_threads, prefetch, seed| {
            let folder = tempfile::tempdir().unwrap();
            let mut training = start(&TrainerConfig { threads, loader_threads, prefetch, seed, ..config() });
            epoch(&mut training, &data);
            let info = training.save(folder.path()).unwrap();
            (info.hash, bytes(folder.path()).0)
        };
        let one = run(1, 4, 1);
        assert_eq!(one, run(1, 4, 1), "{threads} threads");
        assert_eq!(one, run(3, 1, 1), "threads and prefetch of the loader changed the numbers of {threads} threads");
        assert_ne!(one.0, run(1, 4, 2).0, "another seed gave the same weights");
    }
}

#[test]
fn a_resumed_round_is_the_uninterrupted_one() {
    let data = data(4);
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut training = start(&config());
    let mut reports: Vec<EpochReport> = (0..3).map(|_| epoch(&mut training, &data)).collect();
    training.save(whole.path()).unwrap();

    let mut training = start(&config());
    let mut resumed = vec![epoch(&mut training, &data)];
    training.save(parts.path()).unwrap();
    // The second epoch is lost half-way.
    let control = Control::default();
    let stop = training.run_epoch(&data, &control, &mut |step| {
        if step.step == 2 {
            control.cancel()
        }
    });
    assert!(matches!(stop, Err(Error::Cancelled)));
    for _ in 1..3 {
        let mut training = Training::resume(parts.path()).unwrap();
        resumed.push(epoch(&mut training, &data));
        training.save(parts.path()).unwrap();
    }
    assert_eq!(bytes(whole.path()), bytes(parts.path()));
    for report in reports.iter_mut().chain(&mut resumed) {
        (report.seconds, report.training_seconds, report.waiting_seconds, report.steps_per_second) =
            (0.0, 0.0, 0.0, 0.0);
    }
    assert_eq!(reports, resumed);
}

#[test]
fn confidences_survive_to_the_last_bit_in_states_old_and_new() {
    let data = data(4);
    let folder = tempfile::tempdir().unwrap();
    let mut training = start(&config());
    let known: Vec<Option<f64>> =
        epoch(&mut training, &data).classes.iter().map(|class| class.mean_confidence).collect();
    assert!(known.iter().any(Option::is_some));
    training.save(folder.path()).unwrap();
    let speeds = || -> Vec<Option<f64>> {
        let report = epoch(&mut Training::resume(folder.path()).unwrap(), &data);
        report.classes.iter().map(|class| class.learning_speed).collect()
    };
    let new = speeds();
    assert_eq!(
        new.iter().map(Option::is_some).collect::<Vec<_>>(),
        known.iter().map(Option::is_some).collect::<Vec<_>>()
    );

    // An older build wrote the bits beside a text that had lost some.
    let path = folder.path().join(STATE_FILE);
    let mut file = TensorFile::read(&path).unwrap();
    let mut standing: serde_json::Value = serde_json::from_str(&file.metadata["training"]).unwrap();
    assert!(standing.get("mean_confidence_bits").is_none());
    standing["mean_confidence_bits"] = known.iter().map(|mean| mean.map(f64::to_bits)).collect();
    standing["mean_confidence"] = known.iter().map(|mean| mean.map(|mean| (mean * 100.0).round() / 100.0)).collect();
    file.metadata.insert("training".to_owned(), standing.to_string());
    std::fs::write(&path, file.to_bytes()).unwrap();
    assert_eq!(speeds(), new);
}

#[test]
fn an_epoch_says_how_long_it_waited_for_its_batches() {
    let mut steps = Vec::new();
    let report = start(&config()).run_epoch(&data(4), &Control::default(), &mut |step| steps.push(step)).unwrap();
    assert!(steps.iter().all(|step| (0.0..=step.seconds).contains(&step.waiting_seconds)));
    // Nothing is loaded before the epoch, so that the first step waits.
    assert!(steps[0].waiting_seconds > 0.0);
    assert_eq!(report.waiting_seconds, steps.iter().map(|step| step.waiting_seconds).sum::<f64>());
    assert!((0.0..=1.0).contains(&report.waiting_share()));
}

#[test]
fn the_next_round_goes_on_where_the_last_ended() {
    let data = data(4);
    let folder = tempfile::tempdir().unwrap();
    let mut first = start(&config());
    epoch(&mut first, &data);
    first.save(folder.path()).unwrap();

    let go_on =
        |config: TrainerConfig| Training::new(config, classes(), 2, Start::Checkpoint(folder.path().to_owned()));
    let mut second = go_on(config()).unwrap();
    assert_eq!(second.learner().state().unwrap(), first.learner().state().unwrap());
    assert_eq!(second.margins(), first.margins());
    let report = epoch(&mut second, &data);
    assert_eq!((report.epoch, report.t, report.steps), (1, 2, 8));

    let mut restarting = config();
    restarting.margin.restart_t_each_round = true;
    let mut third = go_on(restarting.clone()).unwrap();
    assert!(third.margins().iter().all(|&margin| margin == restarting.margin.initial as f32));
    assert_eq!(epoch(&mut third, &data).t, 1);

    let other = go_on(TrainerConfig { width: 1.0, ..config() });
    match other.err() {
        Some(Error::Incompatible { what, .. }) => assert_eq!(what, "width"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn teachers_hold_torchvisions_keys_and_start_another_training() {
    let folder = tempfile::tempdir().unwrap();
    let mut training = start(&config());
    epoch(&mut training, &data(4));
    training.save(folder.path()).unwrap();
    let path = folder.path().join(TEACHER_FILE);
    let file = TensorFile::read(&path).unwrap();
    let expected: Vec<String> =
        training.learner().student().architecture().tensors().into_iter().map(|spec| spec.name).collect();
    for name in &expected {
        assert!(matches!(file.entries.get(name), Some(Entry::Float(_))), "{name}");
    }
    let counters: Vec<&String> = file.entries.keys().filter(|name| !expected.contains(name)).collect();
    assert!(counters.iter().all(|name| name.ends_with(".num_batches_tracked")), "{counters:?}");
    assert_eq!(counters.len(), expected.iter().filter(|name| name.ends_with("running_mean")).count());
    // Four views a step.
    assert_eq!(file.entries["bn1.num_batches_tracked"], Entry::Counter(4 * 4));
    assert_eq!(file.metadata["classes"], r#"["neutral","happiness","sadness"]"#);

    let next = Training::new(config(), classes(), 1, Start::Weights(path.clone())).unwrap();
    assert_eq!(next.learner().teacher().unwrap(), training.learner().teacher().unwrap());
    assert_eq!(next.learner().steps(), 0);
    let narrow = Training::new(TrainerConfig { width: 1.0, ..config() }, classes(), 1, Start::Weights(path));
    assert!(matches!(narrow.err(), Some(Error::File { .. })));
}

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let begin = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Training::new(config(), classes(), 1, Start::Weights(path)).err().unwrap().to_string()
    };
    assert!(begin("broken.safetensors", b"not tensors at all").contains("broken.safetensors"));
    assert!(begin("broken.pth", b"not a pickle").contains("broken.pth"));
    let empty = TensorFile::default().to_bytes();
    assert!(begin("empty.safetensors", &empty).contains("conv1.weight"));
    let missing = Training::new(config(), classes(), 1, Start::Weights(folder.path().join("no.pth"))).err().unwrap();
    assert!(missing.to_string().contains("no such file"), "{missing}");
}

#[test]
fn a_truncated_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    start(&config()).save(folder.path()).unwrap();
    let path = folder.path().join(STATE_FILE);
    let whole = std::fs::read(&path).unwrap();
    for length in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        match Training::resume(folder.path()).err() {
            Some(Error::File { path: named, .. }) => assert_eq!(named, path),
            other => panic!("cut at {length}: {other:?}"),
        }
    }
}

#[test]
fn undecodable_faces_are_skipped_and_named() {
    let mut data = data(4);
    let mut images: Vec<Vec<u8>> = (0..data.labelled.len() + data.validation.len() + data.unlabelled.len())
        .map(|index| data.source.images(&[index as u64]).unwrap().remove(0))
        .collect();
    images[data.labelled[0].index as usize] = b"no image".to_vec();
    images[data.unlabelled[3].index as usize].truncate(60);
    images[data.validation[1].index as usize] = Vec::new();
    data.source = Arc::new(Images(images));
    let report = epoch(&mut start(&config()), &data);
    let mut expected =
        vec![data.labelled[0].face_id.clone(), data.unlabelled[3].face_id.clone(), data.validation[1].face_id.clone()];
    expected.sort();
    assert_eq!(report.undecodable, expected);
    assert_eq!(report.classes.iter().map(|class| class.labelled).sum::<u64>(), data.labelled.len() as u64 - 1);

    data.source = Arc::new(Images(vec![Vec::new(); 100]));
    let error = start(&config()).run_epoch(&data, &Control::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Undecodable { .. }), "{error}");
}

#[test]
fn bad_rounds_are_refused_with_what_to_do() {
    let data = data(2);
    let refuse = |data: RoundData| start(&config()).run_epoch(&data, &Control::default(), &mut |_| {}).unwrap_err();
    let no_labels = refuse(RoundData { labelled: Vec::new(), ..data.clone() });
    assert!(no_labels.to_string().contains("label"), "{no_labels}");
    let no_pool = refuse(RoundData { unlabelled: Vec::new(), ..data.clone() });
    assert!(no_pool.to_string().contains("supervised"), "{no_pool}");
    let mut wrong = data.clone();
    wrong.labelled[1].class = 3;
    assert!(matches!(refuse(wrong), Error::ClassOutOfRange { class: 3, classes: 3, .. }));
    let mut weightless = data.clone();
    weightless.unlabelled[0].weight = 0.0;
    assert!(matches!(refuse(weightless), Error::BadWeight { .. }));
    let mut lost = data;
    lost.labelled.iter_mut().for_each(|face| face.index += 1_000_000);
    assert!(matches!(refuse(lost), Error::Source(_)));
}

/// Counts how often each image is asked for.
struct Counting {
    inner: Arc<dyn FaceSource>,
    asked: Mutex<BTreeMap<u64, usize>>,
}

impl FaceSource for Counting {
    fn images(&self, indices: &[u64]) -> std::result::Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        let mut asked = self.asked.lock().unwrap();
        indices.iter().for_each(|&index| *asked.entry(index).or_default() += 1);
        self.inner.images(indices)
    }
}

/// Requests for every labelled face in one epoch: one for the measurement, the others for steps.
fn requests(mut data: RoundData, config: &TrainerConfig) -> Vec<usize> {
    let counting = Arc::new(Counting { inner: data.source.clone(), asked: Mutex::default() });
    data.source = counting.clone();
    epoch(&mut start(config), &data);
    let asked = counting.asked.lock().unwrap();
    data.labelled.iter().map(|face| asked.get(&face.index).copied().unwrap_or(0)).collect()
}

/// Tells how many images it was asked for.
struct Watched {
    inner: Arc<dyn FaceSource>,
    asked: Mutex<usize>,
    more: Condvar,
}

impl FaceSource for Watched {
    fn images(&self, indices: &[u64]) -> std::result::Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        *self.asked.lock().unwrap() += indices.len();
        self.more.notify_all();
        self.inner.images(indices)
    }
}

#[test]
fn batches_are_made_ahead_of_the_steps_as_many_as_are_set_and_no_more() {
    let mut data = data(4);
    let watched = Arc::new(Watched { inner: data.source.clone(), asked: Mutex::default(), more: Condvar::new() });
    data.source = watched.clone();
    // As many faces as are fetched at once: every batch is a fetch of its own.
    let (faces, steps, prefetch) = (256, 6, 2);
    let config = TrainerConfig {
        method: "supervised".to_owned(),
        image_size: 16,
        batch_labelled: faces,
        steps_per_epoch: steps,
        prefetch,
        ..config()
    };
    let mut observe = |step: StepReport| {
        // Those of the steps so far, those that wait, and the one that finds no place among them.
        let most = faces * (step.step + 1 + prefetch as u32).min(steps) as usize;
        let (asked, patience) = (watched.asked.lock().unwrap(), Duration::from_secs(60));
        let asked = *watched.more.wait_timeout_while(asked, patience, |asked| *asked < most).unwrap().0;
        assert_eq!(asked, most, "at step {}", step.step);
    };
    start(&config).run_epoch(&data, &Control::default(), &mut observe).unwrap();
}

#[test]
fn equal_weights_deal_every_face_out_before_any_comes_again() {
    let data = data(8);
    // 24 faces in batches of 6: eight steps are two passes.
    let config = TrainerConfig { steps_per_epoch: 8, method: "supervised".to_owned(), ..config() };
    assert_eq!(requests(data.clone(), &config), vec![1 + 2; 24]);
    // Fewer faces than a batch come again within it.
    let few = RoundData { labelled: data.labelled[..3].to_vec(), ..data };
    assert_eq!(requests(few, &TrainerConfig { steps_per_epoch: 2, ..config }), vec![1 + 4; 3]);
}

#[test]
fn weights_steer_what_is_drawn() {
    let mut data = data(8);
    for face in &mut data.labelled {
        face.weight = if face.class == 0 { 3.0 } else { 1.0 };
    }
    let config = TrainerConfig { steps_per_epoch: 100, method: "supervised".to_owned(), ..config() };
    let requests = requests(data.clone(), &config);
    let heavy: usize = data.labelled.iter().zip(&requests).filter(|(f, _)| f.class == 0).map(|(_, n)| n - 1).sum();
    // 3 · 8 of 3 · 8 + 16 parts of 600 draws; five standard deviations are 60.
    assert!((300..420).contains(&heavy), "{heavy} of 600");
}
