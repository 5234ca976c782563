//! Methods that accept a face by its confidence: Pseudo-Label, FixMatch, UDA, FlexMatch, FreeMatch, SoftMatch.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;
use marginalia_trainer::config::rivals::Annealing;
use marginalia_trainer::margin::softmax;
use marginalia_trainer::methods::uda::bound;
use marginalia_trainer::methods::{self, Method, Split, StepOutputs};
use marginalia_trainer::mixing::sharpen;
use marginalia_trainer::{RoundData, TrainerConfig, UnlabelledFace};
use serde_json::{Value, json};

use super::given::{LOOSE, TOLERANCE, assert_gradient, assert_losses, assert_state, batch, config, outputs, variable};
use crate::reference::{assert_close, case, indices, labels, numbers, rows, widen};
use crate::synthetic::Images;

/// Runs every case of a method; `check` looks at what is its own after each step.
fn follow(name: &str, check: impl Fn(&Followed)) {
    let Some(file) = case(name, "methods.json") else { return };
    let cases = file["methods"][name]["cases"].as_object().unwrap();
    assert!(cases.len() > 2, "{name} has hardly any case");
    for (case_name, case) in cases {
        let mut config = config(name, &case["settings"]);
        // The reference gives the bound itself; half of the round would be another one.
        if case["steps"][0]["given"]["tsa_bound"].is_number() {
            config.uda.annealing = Annealing::Linear;
        }
        let mut method = methods::build(&config, file["classes"].as_u64().unwrap() as usize).unwrap();
        begin(method.as_mut(), &case["state_before"]);
        for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let name = format!("{name}/{case_name}, step {number}");
            step_follows(method.as_mut(), &config, step, &name, &check);
        }
    }
}

/// What one step of a case did.
struct Followed<'a> {
    name: &'a str,
    config: &'a TrainerConfig,
    given: &'a Value,
    expected: &'a Value,
    margins_before: Vec<f64>,
    margins_after: Vec<f64>,
    state: Value,
    split: &'a Split,
    /// Rows of the gradient of the labelled and of the strong logits; none where no gradient arrived.
    x_gradient: Vec<Vec<f32>>,
    s_gradient: Vec<Vec<f32>>,
}

/// Puts a method into the state before a case, and tells it of the pool where the reference has one.
fn begin(method: &mut dyn Method, before: &Value) {
    if before.is_null() {
        return;
    }
    let Some(selected) = before["selected"].as_array() else { return method.restore(before).unwrap() };
    let known = selected.iter().enumerate().filter_map(|(face, class)| Some((face.to_string(), class.as_u64()?)));
    let known: BTreeMap<String, u64> = known.collect();
    method.restore(&json!({"selected": known, "pool": selected.len()})).unwrap();
    let face = |face: usize| UnlabelledFace { face_id: face.to_string(), index: face as u64, weight: 1.0 };
    let unlabelled = (0..selected.len()).map(face).collect();
    let source = Arc::new(Images(Vec::new()));
    method.begin_epoch(&RoundData { labelled: Vec::new(), unlabelled, validation: Vec::new(), source });
}

fn step_follows(method: &mut dyn Method, config: &TrainerConfig, step: &Value, name: &str, check: impl Fn(&Followed)) {
    let (given, expected) = (&step["given"], &step["expect"]);
    let (x, w) = (variable(&given["x_logits"]), variable(&given["w_logits"]));
    let s = given["s_logits"].is_array().then(|| variable(&given["s_logits"]));
    let strong: Vec<_> = s.iter().map(|s| outputs(s)).collect();
    assert_eq!((method.views().weak, method.views().strong), (1, strong.len()), "{name}");
    let step_outputs = StepOutputs { labelled: outputs(&x), weak: vec![outputs(&w)], strong };
    let mut batch = batch(given);
    batch.progress = progress(config, given);
    let margins_before = widen(&method.margins());
    let loss = method.loss(&step_outputs, &batch).unwrap();
    let split = loss.split.as_ref().unwrap();
    if expected["pseudo_labels"].is_array() {
        assert_eq!(split.pseudo_labels, labels(&expected["pseudo_labels"]), "{name}");
    }
    if expected["accepted"].is_array() {
        let accepted: Vec<usize> = split.subset_one.iter().map(|&accepted| usize::from(accepted)).collect();
        assert_eq!(accepted, indices(&expected["accepted"]), "{name}");
    }
    assert_losses(&loss, expected, name);
    let gradients = loss.total.backward().unwrap();
    let wanted = &expected["gradients"];
    assert_gradient(gradients.get(&x), &wanted["x_logits"], &format!("{name}: x_logits"));
    assert_gradient(gradients.get(&w), &wanted["w_logits"], &format!("{name}: w_logits"));
    if let Some(s) = &s {
        assert_gradient(gradients.get(s), &wanted["s_logits"], &format!("{name}: s_logits"));
    }
    let rows = |gradient: Option<&Tensor>| gradient.map_or_else(Vec::new, |rows| rows.to_vec2::<f32>().unwrap());
    check(&Followed {
        name,
        config,
        given,
        expected,
        margins_before,
        margins_after: widen(&method.margins()),
        state: method.state(),
        split,
        x_gradient: rows(gradients.get(&x)),
        s_gradient: s.as_ref().map_or_else(Vec::new, |s| rows(gradients.get(s))),
    });
}

/// The share of the round at which ramp and bound are the given ones.
fn progress(config: &TrainerConfig, given: &Value) -> f64 {
    if let Some(bound) = given["tsa_bound"].as_f64() {
        let chance = 1.0 / rows(&given["x_logits"])[0].len() as f64;
        return (bound - chance) / (1.0 - chance);
    }
    given["ramp"].as_f64().unwrap_or(0.0) * config.ramp
}

fn softmax_of(logits: &Value) -> Vec<Vec<f64>> {
    rows(logits).iter().map(|row| softmax(row)).collect()
}

#[test]
fn pseudo_label_follows_the_reference() {
    follow("pseudo-label", |step| {
        assert!(step.margins_after.iter().all(|margin| *margin == f64::from(step.config.threshold as f32)));
    });
}

#[test]
fn fixmatch_follows_the_reference() {
    follow("fixmatch", |step| {
        assert!(step.margins_after.iter().all(|margin| *margin == f64::from(step.config.threshold as f32)));
    });
}

#[test]
fn uda_follows_the_reference() {
    follow("uda", |step| {
        let targets = sharpen(&softmax_of(&step.given["w_logits"]), step.config.uda.temperature).concat();
        assert_close(&targets, &numbers(&step.expected["targets"]), TOLERANCE, TOLERANCE, step.name);
        if step.expected["labelled_kept"].is_array() {
            let kept = step.x_gradient.iter().map(|row| usize::from(row.iter().any(|value| *value != 0.0)));
            assert_eq!(kept.collect::<Vec<_>>(), indices(&step.expected["labelled_kept"]), "{}", step.name);
        }
    });
}

#[test]
fn uda_anneals_along_the_reference() {
    let Some(file) = case("uda_anneals_along_the_reference", "methods.json") else { return };
    let classes = file["classes"].as_u64().unwrap() as usize;
    let mut seen = 0;
    for case in file["methods"]["uda"]["cases"].as_object().unwrap().values() {
        let Some(bounds) = case["tsa_bounds"].as_object() else { continue };
        for (name, by_progress) in bounds {
            let annealing: Annealing = serde_json::from_value(json!(name)).unwrap();
            for (progress, expected) in by_progress.as_object().unwrap() {
                let found = bound(annealing, progress.parse().unwrap(), classes).unwrap();
                assert_close(&[found], &numbers(expected), TOLERANCE, TOLERANCE, name);
                seen += 1;
            }
        }
    }
    assert!(seen > 0, "no bounds in the reference");
    assert_eq!(bound(Annealing::Off, 0.5, classes), None);
}

#[test]
fn flexmatch_follows_the_reference() {
    follow("flexmatch", |step| {
        let thresholds = numbers(&step.expected["thresholds"]);
        assert_close(&step.margins_before, &thresholds, TOLERANCE, TOLERANCE, step.name);
        let after = &step.expected["state_after"];
        let selected = after["selected"].as_array().unwrap().iter().enumerate();
        let expected = selected.filter_map(|(face, class)| Some((face.to_string(), json!(class.as_u64()?))));
        assert_eq!(step.state["selected"], Value::Object(expected.collect()), "{}", step.name);
        let threshold = |beta: &f64| step.config.threshold * beta / (2.0 - beta);
        let thresholds: Vec<f64> = numbers(&after["beta"]).iter().map(threshold).collect();
        assert_close(&step.margins_after, &thresholds, TOLERANCE, TOLERANCE, step.name);
    });
}

#[test]
fn freematch_follows_the_reference() {
    follow("freematch", |step| {
        assert_state(&step.state, &step.expected["state_after"], step.name);
        let thresholds = numbers(&step.expected["thresholds"]);
        assert_close(&step.margins_after, &thresholds, TOLERANCE, TOLERANCE, step.name);
    });
}

#[test]
fn softmatch_follows_the_reference() {
    follow("softmatch", |step| {
        assert_state(&step.state, &step.expected["state_after"], step.name);
        let aligned = numbers(&step.expected["aligned_confidence"]);
        assert_close(&step.split.confidences, &aligned, TOLERANCE, TOLERANCE, step.name);
        assert_close(&weights(step), &numbers(&step.expected["weights"]), LOOSE, LOOSE, step.name);
        let mean = step.state["mean"].as_f64().unwrap() as f32;
        assert!(step.margins_after.iter().all(|margin| *margin == f64::from(mean)), "{}", step.name);
    });
}

/// Each face's weight, read off the gradient of its strong logits: weight / U · (p − one-hot).
fn weights(step: &Followed) -> Vec<f64> {
    let probabilities = softmax_of(&step.given["s_logits"]);
    let faces = probabilities.len() as f64;
    let weight = |(face, mut row): (usize, Vec<f64>)| {
        let class = step.split.pseudo_labels[face] as usize;
        row[class] -= 1.0;
        f64::from(step.s_gradient[face][class]) * faces / row[class]
    };
    probabilities.into_iter().enumerate().map(weight).collect()
}

#[test]
fn freematch_moves_its_averages_before_it_judges() {
    let mut config = TrainerConfig { method: "freematch".to_owned(), ..TrainerConfig::released() };
    config.moving_average.momentum = 0.0;
    let mut method = methods::build(&config, 2).unwrap();
    method.restore(&json!({"threshold": 0.9, "p_model": [0.5, 0.5], "histogram": [0.5, 0.5]})).unwrap();
    // 0.8 is below the threshold before the batch, and is the threshold after it.
    let given = json!({"labels": [0], "logits": [[4f64.ln(), 0.0]]});
    let one = outputs(&variable(&given["logits"]));
    let step = StepOutputs { labelled: one.clone(), weak: vec![one.clone()], strong: vec![one] };
    let split = method.loss(&step, &batch(&given)).unwrap().split.unwrap();
    assert_eq!(split.subset_one, [true]);
    assert_eq!(method.margins()[0], split.confidences[0] as f32);
}

#[test]
fn flexmatch_forgets_faces_that_left_the_pool() {
    let config = TrainerConfig { method: "flexmatch".to_owned(), ..TrainerConfig::released() };
    let mut method = methods::build(&config, 3).unwrap();
    method.restore(&json!({"selected": {"a": 0, "b": 0, "c": 1}, "pool": 3})).unwrap();
    let thresholds = method.margins();
    assert!(thresholds[0] > thresholds[1] && thresholds[2] == 0.0, "{thresholds:?}");
    let face = |id: &str| UnlabelledFace { face_id: id.to_owned(), index: 0, weight: 1.0 };
    let unlabelled = vec![face("a"), face("c"), face("d")];
    let source = Arc::new(Images(Vec::new()));
    method.begin_epoch(&RoundData { labelled: Vec::new(), unlabelled, validation: Vec::new(), source });
    assert_eq!(method.state(), json!({"selected": {"a": 0, "c": 1}, "pool": 3}));
    assert_eq!(method.margins()[0], method.margins()[1]);

    let refused = method.restore(&json!({"selected": {"a": 3}, "pool": 3})).unwrap_err();
    assert!(refused.contains("class 3 of 3"), "{refused}");
}
