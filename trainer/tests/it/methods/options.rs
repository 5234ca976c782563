//! Ada-CM's ablations and its options beyond the paper.

use candle_core::{Device, Tensor, Var};
use marginalia_trainer::config::AdaCmConfig;
use marginalia_trainer::margin::{ClassConfidence, softmax};
use marginalia_trainer::methods::{self, Loss, Method, StepOutputs};
use marginalia_trainer::network::Outputs;
use marginalia_trainer::{AlignmentTarget, MarginFaces, MarginUpdate, Schedule, TrainerConfig};
use serde_json::json;

use super::given::batch;
use crate::reference::{assert_close, numbers};

/// Three classes; features are the logits, normalised.
struct Views {
    labelled: Outputs,
    weak: Vec<Outputs>,
    strong: Outputs,
}

fn logits(rows: &[[f32; 3]; 3]) -> Outputs {
    let logits = Tensor::new(rows, &Device::Cpu).unwrap();
    let length = logits.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap();
    Outputs { features: logits.broadcast_div(&length).unwrap(), logits }
}

/// Faces 0 and 1 are unsure, face 2 is sure of class 2.
fn views() -> Views {
    let weak = logits(&[[1.0, 0.8, -2.0], [0.1, 0.3, 0.2], [0.0, 0.0, 9.0]]);
    let other = logits(&[[0.9, 1.0, -2.5], [0.3, 0.2, 0.1], [0.5, 0.0, 8.0]]);
    Views {
        labelled: logits(&[[3.0, 0.0, 0.0], [0.0, 1.0, 0.5], [2.0, 0.0, 0.0]]),
        weak: vec![weak, other],
        strong: logits(&[[0.5, 0.4, 0.3], [1.0, -1.0, 0.0], [0.0, 1.0, 2.0]]),
    }
}

fn loss(method: &mut dyn Method, views: &Views) -> Loss {
    let outputs =
        StepOutputs { labelled: views.labelled.clone(), weak: views.weak.clone(), strong: vec![views.strong.clone()] };
    method.loss(&outputs, &batch(&json!({"labels": [0, 1, 2]}))).unwrap()
}

fn build(change: impl FnOnce(&mut TrainerConfig)) -> Box<dyn Method> {
    let mut config = TrainerConfig::released();
    config.margin.floor = 0.0;
    change(&mut config);
    config.validate().unwrap();
    methods::build(&config, 3).unwrap()
}

fn part(loss: &Loss, name: &str) -> f64 {
    loss.parts.iter().find(|(part, _)| *part == name).unwrap().1
}

/// p̄ of the unlabelled faces and p of their strong views.
fn probabilities(views: &Views) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let rows = |outputs: &Outputs| -> Vec<Vec<f64>> {
        let rows = outputs.logits.to_vec2::<f32>().unwrap();
        rows.iter().map(|row| softmax(&row.iter().map(|value| f64::from(*value)).collect::<Vec<_>>())).collect()
    };
    let (one, two) = (rows(&views.weak[0]), rows(&views.weak[1]));
    let mean = one.iter().zip(&two).map(|(a, b)| a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect()).collect();
    (mean, rows(&views.strong))
}

fn confidence(rows: &[[f64; 3]], labels: &[usize]) -> ClassConfidence {
    ClassConfidence::measure(&rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>(), labels, 3)
}

#[test]
fn a_fixed_margin_stays_whatever_is_measured() {
    for fixed in [0.95, 0.8] {
        let mut method = build(|config| (config.margin.schedule, config.margin.initial) = (Schedule::Fixed, fixed));
        method.after_epoch(&confidence(&[[0.9, 0.1, 0.0], [0.2, 0.7, 0.1]], &[0, 1]));
        assert_eq!(method.margins(), [fixed as f32; 3]);
        assert_eq!(method.state()["t"], 1);
    }
}

#[test]
fn margins_may_count_wrong_predictions_too() {
    let measured = confidence(&[[0.9, 0.1, 0.0], [0.5, 0.4, 0.1], [0.2, 0.7, 0.1]], &[0, 1, 2]);
    let margins = |faces| {
        let mut method = build(|config| config.margin.faces = faces);
        method.after_epoch(&measured);
        numbers(&method.state()["margins"])
    };
    let factor = 0.97 / (1.0 + (-1.0f64).exp());
    let right = [factor * 0.9, 0.8, 0.8];
    assert_close(&margins(MarginFaces::Right), &right, 1e-9, 0.0, "right");
    let predicted = [factor * 0.7, factor * 0.7, 0.8];
    assert_close(&margins(MarginFaces::Predicted), &predicted, 1e-9, 0.0, "predicted");
}

#[test]
fn margins_may_move_in_every_step() {
    let mut method = build(|config| {
        config.margin.update = MarginUpdate::Step;
        config.moving_average.momentum = 0.5;
    });
    let mut views = views();
    let first = loss(method.as_mut(), &views);
    assert_eq!(first.split.unwrap().subset_one, [false, false, true], "the first step is split by the initial margins");
    let of = |logits: [f64; 3]| softmax(&logits).into_iter().fold(0.0, f64::max);
    // Faces 0 and 1 are right; nobody knows of class 2.
    let factor = 0.97 / (1.0 + (-1.0f64).exp());
    let (zero, one) = (of([3.0, 0.0, 0.0]), of([0.0, 1.0, 0.5]));
    let margins = [factor * zero, factor * one, 0.8];
    assert_close(&numbers(&method.state()["margins"]), &margins, 1e-6, 0.0, "after one step");

    views.labelled = logits(&[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
    loss(method.as_mut(), &views);
    let moved = (zero + of([1.0, 0.0, 0.0])) / 2.0;
    let margins = [factor * moved, factor * one, 0.8];
    assert_close(&numbers(&method.state()["margins"]), &margins, 1e-6, 0.0, "after two steps");

    // The teacher's measurement ends the epoch and changes nothing else; the next step is one of epoch 2.
    method.after_epoch(&confidence(&[[0.9, 0.1, 0.0]], &[0]));
    assert_close(&numbers(&method.state()["margins"]), &margins, 1e-6, 0.0, "after the epoch");
    let mut restored = build(|config| {
        config.margin.update = MarginUpdate::Step;
        config.moving_average.momentum = 0.5;
    });
    restored.restore(&method.state()).unwrap();
    for method in [method.as_mut(), restored.as_mut()] {
        loss(method, &views);
        let factor = 0.97 / (1.0 + (-2.0f64).exp());
        let moved = (moved + of([1.0, 0.0, 0.0])) / 2.0;
        let margins = [factor * moved, factor * one, 0.8];
        assert_close(&numbers(&method.state()["margins"]), &margins, 1e-6, 0.0, "in epoch 2");
    }
    let refused = restored.restore(&json!({"t": 1, "margins": [0.5, 0.5]})).unwrap_err();
    assert!(refused.contains("2 margins for 3 classes"), "{refused}");
}

#[test]
fn aligned_predictions_are_what_is_split() {
    let mut plain = build(|_| ());
    let mut aligned = build(|config| {
        config.ada_cm.alignment = AlignmentTarget::Shares;
        config.alignment_shares = vec![0.05, 0.9, 0.05];
    });
    let views = views();
    assert_eq!(loss(plain.as_mut(), &views).split.unwrap().pseudo_labels, [0, 1, 2]);
    assert!(plain.state().get("p_model").is_none(), "the state of the paper's method has nothing new");
    let split = loss(aligned.as_mut(), &views).split.unwrap();
    assert_eq!(split.pseudo_labels, [1, 1, 2], "towards the class that should be frequent");
    assert_eq!(numbers(&aligned.state()["p_model"]).len(), 3);
}

#[test]
fn sets_and_negatives_teach_subset_two_only() {
    let mut method = build(|config| {
        (config.weights.set_valued, config.weights.negative) = (0.5, 0.25);
        config.ada_cm = AdaCmConfig { set_mass: 0.9, set_size: 2, negative_below: 0.1, ..config.ada_cm.clone() };
    });
    let mut views = views();
    let strong = Var::from_tensor(&views.strong.logits).unwrap();
    views.strong.logits = strong.as_tensor().clone();
    let (mean, p) = probabilities(&views);
    let loss = loss(method.as_mut(), &views);
    assert_eq!(loss.split.as_ref().unwrap().subset_one, [false, false, true]);
    // Face 0: classes 0 and 1 hold 0.95; face 1: no two hold 0.9, two at most; class 2 is improbable for face 0 alone.
    assert!(mean[0][0] + mean[0][1] > 0.9 && mean[0][2] < 0.1 && mean[1].iter().all(|value| *value > 0.1), "{mean:?}");
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| mean[1][b].total_cmp(&mean[1][a]));
    let set_valued = -((p[0][0] + p[0][1]).ln() + (p[1][order[0]] + p[1][order[1]]).ln()) / 3.0;
    assert_close(&[part(&loss, "set_valued")], &[set_valued], 1e-5, 1e-6, "set_valued");
    let negative = -(1.0 - p[0][2]).ln() / 3.0;
    assert_close(&[part(&loss, "negative")], &[negative], 1e-5, 1e-5, "negative");
    let names = ["supervised", "unlabelled", "contrastive", "set_valued", "negative"];
    let total: f64 =
        names.iter().zip([0.5, 1.0, 0.1, 0.5, 0.25]).map(|(name, weight)| weight * part(&loss, name)).sum();
    assert_close(&[f64::from(loss.total.to_scalar::<f32>().unwrap())], &[total], 1e-5, 1e-5, "total");
    let gradient = loss.total.backward().unwrap().get(&strong).unwrap().to_vec2::<f32>().unwrap();
    assert!(gradient[0][2] > 0.0, "the improbable class is pushed down: {gradient:?}");
    assert!(gradient.iter().all(|row| row.iter().all(|value| value.is_finite() && *value != 0.0)));
}

#[test]
fn the_contrastive_term_may_leave_the_weak_views_alone() {
    for weak_gradient in [true, false] {
        let mut method = build(|config| config.ada_cm.weak_gradient = weak_gradient);
        let mut views = views();
        let features = Var::from_tensor(&views.weak[0].features).unwrap();
        views.weak[0].features = features.as_tensor().clone();
        let loss = loss(method.as_mut(), &views);
        assert!(part(&loss, "contrastive") > 0.0, "its number stands either way");
        let labelled = Var::from_tensor(&views.labelled.logits).unwrap();
        // A loss without any gradient cannot go back; something else must have one.
        let total = (loss.total + labelled.sum_all().unwrap()).unwrap();
        assert_eq!(total.backward().unwrap().get(&features).is_some(), weak_gradient);
    }
}
