//! What the reference gives a method instead of a network: logits, features, mixing, rotations.

use std::collections::VecDeque;

use candle_core::{DType, Device, Tensor, Var};
use marginalia_trainer::methods::{Loss, StepBatch};
use marginalia_trainer::mixing::Mixing;
use marginalia_trainer::network::{Outputs, Pass};
use marginalia_trainer::{AlignmentTarget, Result, TrainerConfig};
use serde_json::Value;

use crate::reference::{assert_close, floats, labels, numbers, rows, widen};

pub const TOLERANCE: f64 = 2e-5;
/// Of FreeMatch's fairness and SoftMatch's weights.
pub const LOOSE: f64 = 1e-4;

pub fn variable(value: &Value) -> Var {
    let size = rows(value);
    let tensor = Tensor::from_vec(floats(value), (size.len(), size[0].len()), &Device::Cpu).unwrap();
    Var::from_tensor(&tensor).unwrap()
}

/// Outputs of a view of which only the logits matter.
pub fn outputs(logits: &Tensor) -> Outputs {
    Outputs { features: logits.clone(), logits: logits.clone() }
}

/// The batch a step's numbers stand for; the images themselves play no part in a loss.
pub fn batch(given: &Value) -> StepBatch {
    let ids = given["ids"].as_array().map_or_else(Vec::new, |ids| ids.iter().map(Value::to_string).collect());
    StepBatch {
        labelled: Tensor::zeros((1, 3, 1, 1), DType::F32, &Device::Cpu).unwrap(),
        labels: labels(&given["labels"]),
        soft: None,
        weak: Vec::new(),
        strong: Vec::new(),
        unlabelled_ids: ids,
        progress: 0.0,
    }
}

/// The settings of a case, in the configuration's names; those that it does not name are the paper's.
pub fn config(method: &str, settings: &Value) -> TrainerConfig {
    let mut config = TrainerConfig { method: method.to_owned(), ..TrainerConfig::released() };
    let take = |key: &str, into: &mut [&mut f64]| {
        if let Some(value) = settings[key].as_f64() {
            into.iter_mut().for_each(|setting| **setting = value);
        }
    };
    take("threshold", &mut [&mut config.threshold, &mut config.uda.threshold]);
    let weights = [&mut config.weights.unlabelled, &mut config.mixmatch.weight, &mut config.remixmatch.weight];
    take("lambda_u", &mut { weights });
    let temperatures =
        [&mut config.uda.temperature, &mut config.mixmatch.temperature, &mut config.remixmatch.temperature];
    take("temperature", &mut { temperatures });
    take("lambda_1", &mut [&mut config.remixmatch.strong_weight]);
    take("lambda_rotation", &mut [&mut config.remixmatch.rotation_weight]);
    take("momentum", &mut [&mut config.moving_average.momentum]);
    take("fairness_weight", &mut [&mut config.freematch.fairness]);
    take("n_sigma", &mut [&mut config.softmatch.sigmas]);
    config.flexmatch.warm_up = settings["warm_up"].as_bool().unwrap_or(true);
    config.alignment_shares = numbers(&settings["alignment_target"]);
    let target = match config.alignment_shares.as_slice() {
        [] => AlignmentTarget::None,
        shares if shares.iter().all(|share| *share == shares[0]) => AlignmentTarget::Uniform,
        _ => AlignmentTarget::Shares,
    };
    (config.softmatch.alignment, config.remixmatch.alignment) = (target, target);
    config
}

/// Gradient of the total with respect to one given array; the reference writes `null` for all zero.
pub fn assert_gradient(found: Option<&Tensor>, expected: &Value, name: &str) {
    let found = found.map(|gradient| widen(&gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap()));
    let Some(found) = found else {
        assert!(numbers(expected).iter().all(|value| *value == 0.0), "{name}: no gradient arrived");
        return;
    };
    let expected = if expected.is_null() { vec![0.0; found.len()] } else { numbers(expected) };
    assert_close(&found, &expected, TOLERANCE, TOLERANCE, name);
}

pub fn assert_losses(loss: &Loss, expected: &Value, name: &str) {
    let total = f64::from(loss.total.to_scalar::<f32>().unwrap());
    for (key, expected) in expected["losses"].as_object().unwrap() {
        let found = match loss.parts.iter().find(|(part, _)| part == key) {
            Some((_, value)) => *value,
            None if key == "total" => total,
            None => panic!("{name}: the loss has no part `{key}`"),
        };
        let tolerance = if key == "fairness" { LOOSE } else { TOLERANCE };
        assert_close(&[found], &numbers(expected), tolerance, tolerance, &format!("{name}: {key}"));
    }
}

/// A method's state against the reference's, key by key; `null` is null on both sides.
pub fn assert_state(found: &Value, expected: &Value, name: &str) {
    for (key, expected) in expected.as_object().unwrap() {
        assert_eq!(found[key].is_null(), expected.is_null(), "{name}: {key}");
        let name = format!("{name}: {key}");
        assert_close(&numbers(&found[key]), &numbers(expected), TOLERANCE, TOLERANCE, &name);
    }
}

/// A student that says what it is given, draws what it is given, and remembers what it was shown.
#[derive(Default)]
pub struct GivenPass {
    /// Answers to the calls to come, in order, of each kind.
    pub forward: VecDeque<Vec<Outputs>>,
    pub aside: VecDeque<Vec<Outputs>>,
    pub predicted: VecDeque<Vec<Outputs>>,
    pub auxiliary: Option<Tensor>,
    pub mixing: Option<Mixing>,
    pub turns: Vec<u32>,
    /// Views of every `forward`, then those of every `forward_aside`.
    pub shown: Vec<Vec<Tensor>>,
    pub shown_aside: Vec<Vec<Tensor>>,
}

fn owned(views: &[&Tensor]) -> Vec<Tensor> {
    views.iter().map(|view| (*view).clone()).collect()
}

impl Pass for GivenPass {
    fn forward(&mut self, views: &[&Tensor]) -> Result<Vec<Outputs>> {
        self.shown.push(owned(views));
        Ok(self.forward.pop_front().unwrap())
    }

    fn forward_aside(&mut self, views: &[&Tensor]) -> Result<Vec<Outputs>> {
        self.shown_aside.push(owned(views));
        Ok(self.aside.pop_front().unwrap())
    }

    fn predict(&mut self, _views: &[&Tensor]) -> Result<Vec<Outputs>> {
        Ok(self.predicted.pop_front().unwrap())
    }

    fn auxiliary(&mut self, _features: &Tensor) -> Result<Tensor> {
        Ok(self.auxiliary.clone().unwrap())
    }

    fn mixing(&mut self, _alpha: f64, rows: usize) -> Mixing {
        let identity = || Mixing::new(1.0, (0..rows as u32).collect());
        self.mixing.clone().unwrap_or_else(identity)
    }

    fn quarter_turns(&mut self, _rows: usize) -> Vec<u32> {
        self.turns.clone()
    }
}
