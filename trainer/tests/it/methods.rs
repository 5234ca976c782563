//! Methods' losses, gradients, masks and state against the reference.

mod averages;
mod given;
mod mixed;
mod options;
mod smoke;
mod targets;
mod thresholds;

use candle_core::{Device, Tensor, Var};
use marginalia_trainer::engine::cross_entropy::vote_shares;
use marginalia_trainer::margin::{ClassConfidence, softmax};
use marginalia_trainer::methods::{self, Method, StepBatch, StepOutputs};
use marginalia_trainer::network::Outputs;
use marginalia_trainer::{TrainerConfig, UnlabelledOver};
use serde_json::{Value, json};

use self::given::{TOLERANCE, assert_gradient, assert_losses, batch, outputs, variable};
use crate::reference::{assert_close, case, indices, labels, numbers, optional, rows, widen};

fn config(settings: &Value, given: &Value) -> TrainerConfig {
    let number = |key: &str, default: f64| settings[key].as_f64().unwrap_or(default);
    let mut config = TrainerConfig::released();
    config.weights.supervised = number("lambda_s", 0.5);
    config.weights.unlabelled = number("lambda_u", 1.0);
    config.weights.contrastive = number("lambda_c", 0.1);
    config.contrastive_temperature = number("temperature", 0.07);
    config.margin.beta = number("beta", 0.97);
    config.margin.floor = number("margin_floor", 0.0);
    config.margin.empty_class = number("empty_class_margin", 0.8);
    config.unlabelled_over = match settings["unlabelled_over"].as_str() {
        Some("subset") => UnlabelledOver::Subset,
        _ => UnlabelledOver::Batch,
    };
    config.k_weak = (1..).take_while(|view| given[format!("u{view}_logits")].is_array()).count();
    config
}

#[test]
fn ada_cm_follows_the_reference() {
    let Some(file) = case("ada_cm_follows_the_reference", "methods.json") else { return };
    let cases = file["methods"]["ada-cm"]["cases"].as_object().unwrap();
    for (name, case) in cases {
        let before = &case["state_before"];
        let classes = numbers(&before["margins"]).len();
        let mut method = methods::build(&config(&case["settings"], &case["steps"][0]["given"]), classes).unwrap();
        method.restore(&json!({"t": before["t"], "margins": before["margins"]})).unwrap();
        for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            ada_cm_step(method.as_mut(), step, &format!("{name}, step {number}"));
        }
    }
}

fn ada_cm_step(method: &mut dyn Method, step: &Value, name: &str) {
    let (given, expected) = (&step["given"], &step["expect"]);
    assert_close(&widen(&method.margins()), &numbers(&expected["margins_used"]), TOLERANCE, TOLERANCE, name);
    let (x, s) = (variable(&given["x_logits"]), variable(&given["s_logits"]));
    let views: Vec<(Var, Var)> = (1..=method.views().weak)
        .map(|view| (variable(&given[format!("u{view}_logits")]), variable(&given[format!("u{view}_features")])))
        .collect();
    let outputs = |logits: &Var, features: &Var| Outputs {
        features: features.as_tensor().clone(),
        logits: logits.as_tensor().clone(),
    };
    let step_outputs = StepOutputs {
        labelled: outputs(&x, &x),
        weak: views.iter().map(|(logits, features)| outputs(logits, features)).collect(),
        strong: vec![outputs(&s, &s)],
    };
    let loss = method.loss(&step_outputs, &batch(given)).unwrap();
    let split = loss.split.as_ref().unwrap();
    assert_eq!(split.pseudo_labels, labels(&expected["pseudo_labels"]), "{name}");
    let accepted: Vec<usize> = split.subset_one.iter().map(|&accepted| usize::from(accepted)).collect();
    assert_eq!(accepted, indices(&expected["subset_one"]), "{name}");
    let highest: Vec<f64> =
        rows(&expected["mean_probabilities"]).iter().map(|row| row.iter().copied().fold(0.0, f64::max)).collect();
    assert_close(&split.confidences, &highest, TOLERANCE, TOLERANCE, name);
    assert_losses(&loss, expected, name);

    let gradients = loss.total.backward().unwrap();
    let wanted = &expected["gradients"];
    assert_gradient(gradients.get(&x), &wanted["x_logits"], &format!("{name}: x_logits"));
    assert_gradient(gradients.get(&s), &wanted["s_logits"], &format!("{name}: s_logits"));
    for (number, (logits, features)) in (1..).zip(&views) {
        let key = format!("u{number}_logits");
        assert_gradient(gradients.get(logits), &wanted[&key], &format!("{name}: {key}"));
        let key = format!("u{number}_features");
        assert_gradient(gradients.get(features), &wanted[&key], &format!("{name}: {key}"));
    }
    if given["measured_logits"].is_array() {
        measure(method, given, expected, name);
    }
}

/// The measurement after the epoch, and the margins it leaves.
fn measure(method: &mut dyn Method, given: &Value, expected: &Value, name: &str) {
    let probabilities: Vec<Vec<f64>> = rows(&given["measured_logits"]).iter().map(|row| softmax(row)).collect();
    let classes = probabilities[0].len();
    let measured = ClassConfidence::measure(&probabilities, &indices(&given["measured_labels"]), classes);
    let right: Vec<usize> = measured.right.iter().map(|&count| count as usize).collect();
    assert_eq!(right, indices(&expected["right_count"]), "{name}");
    for (found, expected) in measured.mean.iter().zip(optional(&expected["mean_confidence_of_right"])) {
        assert_eq!(found.is_some(), expected.is_some(), "{name}");
        assert_close(&[found.unwrap_or(0.0)], &[expected.unwrap_or(0.0)], TOLERANCE, TOLERANCE, name);
    }
    method.after_epoch(&measured);
    let state = method.state();
    assert_eq!(state["t"], expected["state_after"]["t"], "{name}");
    let margins = numbers(&expected["state_after"]["margins"]);
    assert_close(&numbers(&state["margins"]), &margins, TOLERANCE, TOLERANCE, name);
}

#[test]
fn supervised_follows_the_reference() {
    let Some(file) = case("supervised_follows_the_reference", "methods.json") else { return };
    let cases = file["methods"]["supervised"]["cases"].as_object().unwrap();
    // Cases of votes follow below.
    for (name, case) in cases.iter().filter(|(_, case)| case["steps"][0]["given"]["labels"][0].is_number()) {
        let mut settings = TrainerConfig::released();
        settings.method = "supervised".to_owned();
        let mut method = methods::build(&settings, 7).unwrap();
        for step in case["steps"].as_array().unwrap() {
            let (given, expected) = (&step["given"], &step["expect"]);
            let x = variable(&given["x_logits"]);
            let labelled = Outputs { features: x.as_tensor().clone(), logits: x.as_tensor().clone() };
            let outputs = StepOutputs { labelled, weak: Vec::new(), strong: Vec::new() };
            let loss = method.loss(&outputs, &batch(given)).unwrap();
            assert_losses(&loss, expected, name);
            let gradients = loss.total.backward().unwrap();
            assert_gradient(gradients.get(&x), &expected["gradients"]["x_logits"], name);
        }
    }
}

#[test]
fn votes_teach_their_smoothed_shares() {
    let Some(file) = case("votes_teach_their_smoothed_shares", "methods.json") else { return };
    let cases = file["methods"]["supervised"]["cases"].as_object().unwrap();
    let with_votes: Vec<_> = cases.iter().filter(|(_, case)| case["steps"][0]["given"]["votes"].is_array()).collect();
    assert!(!with_votes.is_empty(), "no case of votes");
    let settings = TrainerConfig { method: "supervised".to_owned(), ..TrainerConfig::released() };
    let mut method = methods::build(&settings, 7).unwrap();
    for (name, case) in with_votes {
        let smoothing = case["settings"]["vote_smoothing"].as_f64().unwrap();
        for step in case["steps"].as_array().unwrap() {
            let (given, expected) = (&step["given"], &step["expect"]);
            let x = variable(&given["x_logits"]);
            let targets = vote_shares(&rows(&given["votes"]), smoothing).unwrap();
            let found = widen(&targets.flatten_all().unwrap().to_vec1::<f32>().unwrap());
            assert_close(&found, &numbers(&expected["targets"]), TOLERANCE, TOLERANCE, name);
            let outputs = StepOutputs { labelled: outputs(&x), weak: Vec::new(), strong: Vec::new() };
            let loss = method.loss(&outputs, &StepBatch { soft: Some(targets), ..batch(given) }).unwrap();
            assert_losses(&loss, expected, name);
            let gradients = loss.total.backward().unwrap();
            assert_gradient(gradients.get(&x), &expected["gradients"]["x_logits"], name);
        }
    }
    assert!(vote_shares(&[vec![0.0; 7]], 0.0).unwrap_err().to_string().contains("without a vote"));
}

#[test]
fn two_strong_views_are_averaged() {
    let config = TrainerConfig { k_strong: 2, ..TrainerConfig::released() };
    let mut method = methods::build(&config, 3).unwrap();
    assert_eq!(method.views().strong, 2);
    let outputs = |values: &[[f32; 3]; 2]| {
        let logits = Tensor::new(values, &Device::Cpu).unwrap();
        Outputs { features: logits.clone(), logits }
    };
    let sure = outputs(&[[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]]);
    let (one, two) = (outputs(&[[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), outputs(&[[0.0, 2.0, 0.0], [0.0, 1.0, 0.0]]));
    let given = json!({"labels": [0, 1]});
    let mut part = |strong: Vec<Outputs>| {
        let weak = vec![sure.clone(), sure.clone()];
        let outputs = StepOutputs { labelled: sure.clone(), weak, strong };
        let loss = method.loss(&outputs, &batch(&given)).unwrap();
        loss.parts.iter().find(|(name, _)| *name == "unlabelled").unwrap().1
    };
    let mean = (part(vec![one.clone()]) + part(vec![two.clone()])) / 2.0;
    assert_close(&[part(vec![one, two])], &[mean], 1e-6, 1e-6, "unlabelled");
}
