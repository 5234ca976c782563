//! Soft targets: what they teach, that every method takes them, and which are refused.

use std::collections::VecDeque;

use candle_core::{DType, Device, Tensor};
use marginalia_trainer::config::rivals::Annealing;
use marginalia_trainer::methods::{self, Loss, StepBatch};
use marginalia_trainer::{Control, Error, LabelledFace, RoundData, Start, TrainerConfig, Training};
use serde_json::json;

use super::given::{GivenPass, TOLERANCE, outputs, variable};
use crate::reference::{assert_close, widen};
use crate::synthetic::{classes, config, data};

/// Two faces: p is (0.8, 0.2) and (0.5, 0.5); the first teaches both classes, the second its own.
fn batch() -> StepBatch {
    let image = || Tensor::zeros((2, 3, 1, 1), DType::F32, &Device::Cpu).unwrap();
    StepBatch {
        labelled: image(),
        labels: vec![0, 1],
        soft: Some(Tensor::new(&[[0.75f32, 0.25], [0.0, 1.0]], &Device::Cpu).unwrap()),
        weak: vec![image(), image()],
        strong: vec![image(), image()],
        unlabelled_ids: vec!["a".to_owned(), "b".to_owned()],
        progress: 1.0,
    }
}

/// The loss of a method whose student says the same of every view, and the logits that it says.
fn loss(config: &TrainerConfig, mut batch: StepBatch) -> (Loss, candle_core::Var) {
    let mut method = methods::build(config, 2).unwrap();
    let views = method.views();
    batch.weak.truncate(views.weak);
    batch.strong.truncate(views.strong);
    let logits = variable(&json!([[4f64.ln(), 0.0], [0.0, 0.0]]));
    let answers = |count: usize| -> VecDeque<_> { [vec![outputs(&logits); count]].into() };
    let mut pass = GivenPass {
        forward: answers(1 + views.weak + views.strong),
        aside: answers(2),
        predicted: answers(views.weak),
        auxiliary: Some(Tensor::zeros((2, 4), DType::F32, &Device::Cpu).unwrap()),
        turns: vec![0, 1],
        ..GivenPass::default()
    };
    let outputs = method.forward(&mut pass, &batch).unwrap();
    (method.loss(&outputs, &batch).unwrap(), logits)
}

fn supervised(loss: &Loss) -> f64 {
    loss.parts.iter().find(|(name, _)| *name == "supervised").unwrap().1
}

#[test]
fn every_method_teaches_soft_targets() {
    let soft = -(0.75 * 0.8f64.ln() + 0.25 * 0.2f64.ln() + 0.5f64.ln()) / 2.0;
    let hard = -(0.8f64.ln() + 0.5f64.ln()) / 2.0;
    let mut configs: Vec<TrainerConfig> = methods::REGISTRY
        .iter()
        .map(|(name, _)| TrainerConfig { method: (*name).to_owned(), ..TrainerConfig::released() })
        .collect();
    let mut annealed = TrainerConfig { method: "uda".to_owned(), ..TrainerConfig::released() };
    annealed.uda.annealing = Annealing::Linear;
    configs.push(annealed);
    for config in configs {
        let found = supervised(&loss(&config, batch()).0);
        assert_close(&[found], &[soft], TOLERANCE, TOLERANCE, &config.method);
        let found = supervised(&loss(&config, StepBatch { soft: None, ..batch() }).0);
        assert_close(&[found], &[hard], TOLERANCE, TOLERANCE, &config.method);
    }
}

#[test]
fn a_soft_target_draws_the_prediction_towards_it() {
    let config = TrainerConfig { method: "supervised".to_owned(), ..TrainerConfig::released() };
    let (loss, logits) = loss(&config, batch());
    let gradient = loss.total.backward().unwrap().get(&logits).unwrap().flatten_all().unwrap();
    // (p − q) / 2: nothing is left to learn of the first face but 0.05.
    let expected = [0.025, -0.025, 0.25, -0.25];
    assert_close(&widen(&gradient.to_vec1::<f32>().unwrap()), &expected, 1e-5, 1e-7, "gradient");
}

/// The teacher's hash after an epoch on faces with these targets by class.
fn trained(soft_targets: bool, targets: Option<[[f32; 3]; 3]>) -> String {
    let mut data = data(4);
    for face in &mut data.labelled {
        face.target = targets.map(|targets| targets[face.class].to_vec());
    }
    let mut training = Training::new(TrainerConfig { soft_targets, ..config() }, classes(), 1, Start::Scratch).unwrap();
    training.run_epoch(&data, &Control::default(), &mut |_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    training.save(folder.path()).unwrap().hash
}

#[test]
fn a_target_on_one_class_is_the_class() {
    let one_hot = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let shares = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.0, 0.25, 0.75]];
    let votes = shares.map(|target| target.map(|share| share * 8.0));
    let hard = trained(false, None);
    assert_eq!(trained(true, None), hard, "a face without a target teaches its class");
    assert_eq!(trained(true, Some(one_hot)), hard);
    assert_eq!(trained(false, Some(shares)), hard, "targets count only where the setting says so");
    let soft = trained(true, Some(shares));
    assert_ne!(soft, hard);
    assert_eq!(trained(true, Some(votes)), soft, "votes count by their shares");
}

#[test]
fn a_target_that_shares_nothing_out_is_refused_by_its_face() {
    let good = data(2);
    let refuse = |target: &[f32]| {
        let mut labelled = good.labelled.clone();
        labelled[1] = LabelledFace { target: Some(target.to_vec()), ..labelled[1].clone() };
        let data = RoundData { labelled, ..good.clone() };
        let mut training = Training::new(config(), classes(), 1, Start::Scratch).unwrap();
        training.run_epoch(&data, &Control::default(), &mut |_| {}).unwrap_err()
    };
    let bad: [&[f32]; 6] =
        [&[0.5, 0.5], &[], &[1.5, -0.5, 0.0], &[f32::NAN, 1.0, 0.0], &[f32::INFINITY, 0.0, 0.0], &[0.0; 3]];
    for target in bad {
        let error = refuse(target);
        assert!(error.to_string().contains(&good.labelled[1].face_id), "{error}");
        assert!(matches!(error, Error::BadTarget { classes: 3, .. }), "{error}");
    }
}
