//! Methods that mix faces: MixMatch, ReMixMatch, Margin-Mix.

use candle_core::{DType, Device, Tensor, Var};
use marginalia_trainer::TrainerConfig;
use marginalia_trainer::alignment::Alignment;
use marginalia_trainer::margin::softmax;
use marginalia_trainer::methods::{self, Method, StepBatch};
use marginalia_trainer::mixing::{Mixing, sharpen, target_rows};
use marginalia_trainer::network::Outputs;
use serde_json::{Value, json};

use super::given::{GivenPass, TOLERANCE, assert_gradient, assert_losses, assert_state, config, outputs, variable};
use crate::reference::{assert_close, case, floats, indices, labels, numbers, rows, widen};

/// Rows of the given inputs as images of one pixel, one tensor per size.
fn views(inputs: &Value, sizes: &[usize]) -> Vec<Tensor> {
    let all = floats(inputs);
    let mut rest = all.as_slice();
    let mut view = |&size: &usize| {
        let (now, later) = rest.split_at(size);
        rest = later;
        Tensor::from_slice(now, (size, 1, 1, 1), &Device::Cpu).unwrap()
    };
    sizes.iter().map(&mut view).collect()
}

/// What a network says about consecutive views, as parts of one array.
fn parts(logits: &Var, sizes: &[usize]) -> Vec<Outputs> {
    let mut start = 0;
    let mut part = |&size: &usize| {
        start += size;
        outputs(&logits.narrow(0, start - size, size).unwrap())
    };
    sizes.iter().map(&mut part).collect()
}

fn flat(tensors: &[Tensor]) -> Vec<f64> {
    tensors.iter().flat_map(|tensor| widen(&tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())).collect()
}

fn given_mixing(given: &Value) -> Mixing {
    Mixing::new(given["beta_draw"].as_f64().unwrap(), labels(&given["permutation"]))
}

fn one_hot(class: usize) -> Vec<f64> {
    (0..7).map(|other| f64::from(u8::from(other == class))).collect()
}

/// Share, mixed inputs and mixed targets of a step; `guessed` views have the expected targets.
fn assert_mixing(mixing: &Mixing, shown: &[Tensor], given: &Value, expected: &Value, guessed: usize, name: &str) {
    assert_close(&[mixing.share()], &numbers(&expected["mixing"]), TOLERANCE, TOLERANCE, name);
    assert_close(&flat(shown), &numbers(&expected["mixed_inputs"]), TOLERANCE, TOLERANCE, name);
    let labelled: Vec<Vec<f64>> = indices(&given["labels"]).into_iter().map(one_hot).collect();
    let mut targets = vec![target_rows(&labelled).unwrap()];
    targets.extend((0..guessed).map(|_| target_rows(&rows(&expected["targets"])).unwrap()));
    let sizes: Vec<&Tensor> = targets.iter().collect();
    let mixed = mixing.mix(&sizes, &targets).unwrap();
    assert_close(&flat(&mixed.targets), &numbers(&expected["mixed_targets"]), TOLERANCE, TOLERANCE, name);
}

fn batch(labelled: Tensor, given: &Value, weak: Vec<Tensor>, strong: Vec<Tensor>, progress: f64) -> StepBatch {
    let labels = labels(&given["labels"]);
    StepBatch { labelled, labels, soft: None, weak, strong, unlabelled_ids: Vec::new(), progress }
}

#[test]
fn mixmatch_follows_the_reference() {
    let Some(file) = case("mixmatch_follows_the_reference", "methods.json") else { return };
    for (name, case) in file["methods"]["mixmatch"]["cases"].as_object().unwrap() {
        let config = config("mixmatch", &case["settings"]);
        let mut method = methods::build(&config, 7).unwrap();
        for step in case["steps"].as_array().unwrap() {
            mixmatch_step(method.as_mut(), &config, step, name);
        }
    }
}

fn mixmatch_step(method: &mut dyn Method, config: &TrainerConfig, step: &Value, name: &str) {
    let (given, expected) = (&step["given"], &step["expect"]);
    let weak: Vec<Var> = ["u1_logits", "u2_logits"].iter().map(|key| variable(&given[*key])).collect();
    let mixed = variable(&given["mixed_logits"]);
    let faces = weak[0].dim(0).unwrap();
    let sizes = [labels(&given["labels"]).len(), faces, faces];
    let mut inputs = views(&given["inputs"], &sizes).into_iter();
    let progress = given["ramp"].as_f64().unwrap() * config.ramp;
    let batch = batch(inputs.next().unwrap(), given, inputs.collect(), Vec::new(), progress);
    let mut pass = GivenPass {
        predicted: [weak.iter().map(|view| outputs(view)).collect()].into(),
        forward: [parts(&mixed, &sizes)].into(),
        mixing: Some(given_mixing(given)),
        ..GivenPass::default()
    };
    let step_outputs = method.forward(&mut pass, &batch).unwrap();
    assert_mixing(&given_mixing(given), &pass.shown[0], given, expected, 2, name);
    let probabilities = |view: &str| rows(&given[view]).iter().map(|row| softmax(row)).collect::<Vec<_>>();
    let mean = probabilities("u1_logits").into_iter().zip(probabilities("u2_logits"));
    let mean = mean.map(|(a, b)| a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect::<Vec<f64>>());
    let targets = sharpen(&mean.collect::<Vec<_>>(), config.mixmatch.temperature).concat();
    assert_close(&targets, &numbers(&expected["targets"]), TOLERANCE, TOLERANCE, name);

    let loss = method.loss(&step_outputs, &batch).unwrap();
    assert!(loss.split.is_none());
    assert_losses(&loss, expected, name);
    let gradients = loss.total.backward().unwrap();
    assert_gradient(gradients.get(&mixed), &expected["gradients"]["mixed_logits"], name);
    for (key, view) in ["u1_logits", "u2_logits"].iter().zip(&weak) {
        assert_gradient(gradients.get(view), &expected["gradients"][*key], name);
    }
}

#[test]
fn remixmatch_follows_the_reference() {
    let Some(file) = case("remixmatch_follows_the_reference", "methods.json") else { return };
    for (name, case) in file["methods"]["remixmatch"]["cases"].as_object().unwrap() {
        let config = config("remixmatch", &case["settings"]);
        let mut method = methods::build(&config, 7).unwrap();
        method.restore(&case["state_before"]).unwrap();
        let mut alignment = Alignment::new(config.remixmatch.alignment, &config, 7);
        alignment.restore(&case["state_before"]["p_model"], 7).unwrap();
        for (number, step) in case["steps"].as_array().unwrap().iter().enumerate() {
            let name = format!("{name}, step {number}");
            remixmatch_step(method.as_mut(), &config, step, &name);
            let probabilities: Vec<Vec<f64>> =
                rows(&step["given"]["w_logits"]).iter().map(|row| softmax(row)).collect();
            let aligned = alignment.align(&probabilities);
            let expected = &step["expect"];
            assert_close(&aligned.concat(), &numbers(&expected["aligned"]), TOLERANCE, TOLERANCE, &name);
            let targets = sharpen(&aligned, config.remixmatch.temperature).concat();
            assert_close(&targets, &numbers(&expected["targets"]), TOLERANCE, TOLERANCE, &name);
        }
    }
}

fn remixmatch_step(method: &mut dyn Method, config: &TrainerConfig, step: &Value, name: &str) {
    let (given, expected) = (&step["given"], &step["expect"]);
    let keys = ["w_logits", "s1_logits", "mixed_logits", "rotation_logits"];
    let [w, s1, mixed, rotation] = keys.map(|key| variable(&given[key]));
    let faces = w.dim(0).unwrap();
    let sizes = [labels(&given["labels"]).len(), faces, faces, faces];
    let mut inputs = views(&given["inputs"], &sizes);
    let weak = inputs.split_off(3);
    let strong = inputs.split_off(1);
    let progress = given["ramp"].as_f64().unwrap() * config.remixmatch.ramp;
    let batch = batch(inputs.remove(0), given, weak, strong, progress);
    let mut pass = GivenPass {
        predicted: [vec![outputs(&w)]].into(),
        forward: [parts(&mixed, &sizes)].into(),
        aside: [vec![outputs(&s1), outputs(&s1)]].into(),
        auxiliary: Some(rotation.as_tensor().clone()),
        mixing: Some(given_mixing(given)),
        turns: labels(&given["rotation_labels"]),
        ..GivenPass::default()
    };
    let step_outputs = method.forward(&mut pass, &batch).unwrap();
    assert_mixing(&given_mixing(given), &pass.shown[0], given, expected, 3, name);
    let loss = method.loss(&step_outputs, &batch).unwrap();
    assert_losses(&loss, expected, name);
    assert_state(&method.state(), &expected["state_after"], name);
    let gradients = loss.total.backward().unwrap();
    for (key, array) in keys.iter().zip([&w, &s1, &mixed, &rotation]) {
        assert_gradient(gradients.get(array), &expected["gradients"][*key], &format!("{name}: {key}"));
    }
}

#[test]
fn remixmatch_turns_faces_by_quarters() {
    let config = TrainerConfig { method: "remixmatch".to_owned(), ..TrainerConfig::released() };
    let mut method = methods::build(&config, 7).unwrap();
    // Two channels of 2 × 2, the same for four faces that are turned by 0 to 3 quarters.
    let face = [1f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let strong = Tensor::from_vec(face.repeat(4), (4, 2, 2, 2), &Device::Cpu).unwrap();
    let labelled = strong.narrow(0, 0, 1).unwrap();
    let logits = |faces: usize| outputs(&Tensor::zeros((faces, 7), DType::F32, &Device::Cpu).unwrap());
    let mut pass = GivenPass {
        predicted: [vec![logits(4)]].into(),
        forward: [vec![logits(1), logits(4), logits(4), logits(4)]].into(),
        aside: [vec![logits(4), logits(4)]].into(),
        auxiliary: Some(Tensor::zeros((4, 4), DType::F32, &Device::Cpu).unwrap()),
        turns: vec![0, 1, 2, 3],
        ..GivenPass::default()
    };
    let weak = vec![strong.clone()];
    let batch = batch(labelled, &json!({"labels": [0]}), weak, vec![strong.clone(), strong], 0.0);
    method.forward(&mut pass, &batch).unwrap();
    let turned = &pass.shown_aside[0][1];
    let planes: Vec<Vec<f64>> = flat(std::slice::from_ref(turned)).chunks(4).map(<[f64]>::to_vec).collect();
    assert_eq!(planes[0], [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(planes[2], [2.0, 4.0, 1.0, 3.0], "a quarter against the clock");
    assert_eq!(planes[3], [6.0, 8.0, 5.0, 7.0]);
    assert_eq!(planes[4], [4.0, 3.0, 2.0, 1.0]);
    assert_eq!(planes[6], [3.0, 1.0, 4.0, 2.0]);
}

/// Unit features of two dimensions at these angles.
fn features(angles: &[f32]) -> Outputs {
    let rows: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
    let features = Tensor::from_vec(rows, (angles.len(), 2), &Device::Cpu).unwrap();
    Outputs { logits: Tensor::zeros((angles.len(), 3), DType::F32, &Device::Cpu).unwrap(), features }
}

#[test]
fn margin_mix_guesses_by_the_nearest_centre() {
    let mut config = TrainerConfig { method: "margin-mix".to_owned(), ..TrainerConfig::released() };
    config.moving_average.momentum = 0.5;
    // So warm that distances leave a loss.
    config.margin_mix.temperature = 1.0;
    let mut method = methods::build(&config, 3).unwrap();
    let image = |faces: usize| Tensor::zeros((faces, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let given = json!({"labels": [0, 0, 2]});
    let batch = batch(image(3), &given, vec![image(2), image(2)], Vec::new(), 1.0);
    let labelled = Var::from_tensor(&features(&[0.0, 0.2, 1.6]).features).unwrap();
    let weak = [[0.1, 1.5], [0.15, 1.4]].map(|angles| Var::from_tensor(&features(&angles).features).unwrap());
    let logits = Var::from_tensor(&Tensor::zeros((7, 3), DType::F32, &Device::Cpu).unwrap()).unwrap();
    let mut pass = GivenPass {
        aside: [vec![outputs(&labelled)]].into(),
        predicted: [weak.iter().map(|view| outputs(view)).collect()].into(),
        forward: [parts(&logits, &[3, 2, 2])].into(),
        ..GivenPass::default()
    };
    let step_outputs = method.forward(&mut pass, &batch).unwrap();
    let state = method.state();
    let centre = numbers(&state["centres"][0]);
    assert_close(&centre, &[(1.0 + 0.2f64.cos()) / 2.0, 0.2f64.sin() / 2.0], 1e-6, 1e-6, "the mean of two faces");
    assert!(state["centres"][1].is_null(), "a class without a face has no centre");

    let loss = method.loss(&step_outputs, &batch).unwrap();
    let gradients = loss.total.backward().unwrap();
    // Where all logits are equal, the squared error pulls each unlabelled row towards its guess.
    let pulled = gradients.get(&logits).unwrap().to_vec2::<f32>().unwrap();
    for (row, class) in [(3, 0), (4, 2), (5, 0), (6, 2)] {
        let strongest = (0..3).min_by(|a, b| pulled[row][*a].total_cmp(&pulled[row][*b])).unwrap();
        assert_eq!(strongest, class, "row {row}: {:?}", pulled[row]);
        assert!(pulled[row][1] > 0.0, "the class without a centre is pushed away");
    }
    assert!(gradients.get(&labelled).is_some(), "the margin term trains the embedding");
    assert!(weak.iter().all(|view| gradients.get(view).is_none()), "guesses take no gradient");

    let (temperature, margin) = (config.margin_mix.temperature, config.margin_mix.margin);
    let centres = [numbers(&state["centres"][0]), numbers(&state["centres"][2])];
    let distance = |angle: f64, centre: usize| {
        (angle.cos() - centres[centre][0]).powi(2) + (angle.sin() - centres[centre][1]).powi(2)
    };
    let found = |part: &str| loss.parts.iter().find(|(name, _)| *name == part).unwrap().1;

    // L_m by hand: squared distances to the centres, the own one `margin` farther.
    let expected = [(0.0f64, 0), (0.2, 0), (1.6, 1)].iter().map(|(angle, own)| {
        let logit = |class: usize| -(distance(*angle, class) + if class == *own { margin } else { 0.0 }) / temperature;
        -softmax(&[logit(0), logit(1)])[*own].ln()
    });
    let expected = expected.sum::<f64>() / 3.0;
    assert!(expected > 0.1, "{expected}");
    assert_close(&[found("margin")], &[expected], TOLERANCE, TOLERANCE, "margin");

    // L_u by hand: the squared error of 1/3 each against the sharpened mean guess, over rows and classes; the two views of a
    // face have one guess.
    let errors = [[0.1, 0.15], [1.5, 1.4]].map(|angles: [f64; 2]| {
        let [a, b] = angles.map(|angle| softmax(&[0, 1].map(|class| -distance(angle, class) / temperature)));
        let mean: Vec<f64> = a.iter().zip(&b).map(|(a, b)| (a + b) / 2.0).collect();
        let guess = sharpen(&[mean], config.mixmatch.temperature).concat();
        // The class without a centre is guessed with 0.
        guess.iter().chain(&[0.0]).map(|guess| (1.0f64 / 3.0 - guess).powi(2)).sum::<f64>()
    });
    let expected = errors.iter().sum::<f64>() / (2.0 * 3.0);
    assert_close(&[found("unlabelled")], &[expected], TOLERANCE, TOLERANCE, "unlabelled");

    // The next step's faces move the centre by half.
    let moved = features(&[0.4, 0.4, 1.6]);
    pass.aside.push_back(vec![moved]);
    pass.predicted.push_back(vec![features(&[0.1, 1.5]), features(&[0.15, 1.4])]);
    pass.forward.push_back(parts(&logits, &[3, 2, 2]));
    method.forward(&mut pass, &batch).unwrap();
    let expected = [(centre[0] + 0.4f64.cos()) / 2.0, (centre[1] + 0.4f64.sin()) / 2.0];
    assert_close(&numbers(&method.state()["centres"][0]), &expected, 1e-6, 1e-6, "the centre after two steps");
}
