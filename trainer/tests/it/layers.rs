//! Convolution, max-pool and BatchNorm against the reference.

use candle_core::{Device, Tensor};
use marginalia_trainer::engine::batch_norm::{Layer, Statistics, batch_norm};
use marginalia_trainer::engine::convolution::{convolution, convolution_bias};
use marginalia_trainer::engine::max_pool::max_pool;
use marginalia_trainer::engine::tape::{Node, Tape};
use serde_json::Value;

use crate::operators::{Applied, Operand, activations, body, values};
use crate::reference::{assert_close, case, floats, generated, numbers, shape, widen};

/// A reference array (N, C, H, W) in the engine's order (N, H, W, C).
fn channels_last(values: Vec<f32>, shape: &[usize]) -> Tensor {
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    tensor.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
}

/// The reverse, for numbers of the shape of `like`.
fn channels_first(numbers: &[f32], like: &Tensor) -> Vec<f64> {
    let tensor = Tensor::from_slice(numbers, like.dims(), &Device::Cpu).unwrap();
    widen(&values(&tensor.permute((0, 3, 1, 2)).unwrap()))
}

fn gradient(applied: &Applied, operand: usize) -> &[f32] {
    applied.gradients[operand].as_deref().unwrap()
}

#[test]
fn max_pool_is_exact() {
    let Some(file) = case("max_pool_is_exact", "maxpool_batchnorm.json") else { return };
    for case in file["max_pool"].as_array().unwrap() {
        let x = channels_last(floats(&case["x"]), &shape(&case["x"]));
        let dy = channels_last(floats(&case["dy"]), &shape(&case["dy"]));
        let applied = body(&|tape, x| max_pool(tape, x[0].value()), std::slice::from_ref(&x), |_| values(&dy));
        let rounded = |values: Vec<f64>| values.into_iter().map(|value| f64::from(value as f32)).collect::<Vec<_>>();
        let kind = case["kind"].as_str().unwrap();
        assert_close(&channels_first(&applied.result, &dy), &rounded(numbers(&case["y"])), 0.0, 0.0, kind);
        // A pixel that wins several windows sums their gradients, which rounds.
        assert_close(&channels_first(gradient(&applied, 0), &x), &numbers(&case["dx"]), 0.0, 1e-6, kind);
    }
}

#[test]
fn batch_norm_by_groups_gives_what_separate_batches_give() {
    let Some(file) = case("batch_norm_by_groups_gives_what_separate_batches_give", "maxpool_batchnorm.json") else {
        return;
    };
    let case = &file["batch_norm"];
    let sizes = shape(&case["x"]);
    let (groups, images) = (sizes[0], sizes[1]);
    let flat_shape = [&[groups * images], &sizes[2..]].concat();
    let x = channels_last(floats(&case["x"]), &flat_shape);
    let dy = channels_last(floats(&case["dy"]), &flat_shape);
    let vector = |key: &str| Tensor::new(floats(&case[key]).as_slice(), &Device::Cpu).unwrap();
    let inputs = [x, vector("weight"), vector("bias")];
    let statistics = std::cell::RefCell::new(Statistics::default());
    let norm = |tape: &mut _, x: &[Operand]| {
        let layer = Layer { weight: &x[1].tensor, bias: &x[2].tensor, shortcut: None, relu: false };
        let (y, seen) = batch_norm(tape, x[0].value(), &layer, &vec![images; groups])?;
        statistics.replace(seen);
        Ok(y)
    };
    let applied = body(&norm, &inputs, |_| values(&dy));
    let statistics = statistics.into_inner();
    assert_close(&channels_first(&applied.result, &dy), &numbers(&case["y"]), 1e-5, 1e-5, "y");
    assert_close(&channels_first(gradient(&applied, 0), &dy), &numbers(&case["dx"]), 1e-5, 1e-5, "dx");
    assert_close(&widen(gradient(&applied, 1)), &numbers(&case["dweight"]), 1e-5, 1e-5, "dweight");
    assert_close(&widen(gradient(&applied, 2)), &numbers(&case["dbias"]), 1e-5, 1e-5, "dbias");

    let before = &case["running_before"];
    let (mut mean, mut variance) = (floats(&before["running_mean"]), floats(&before["running_var"]));
    for (group, expected) in case["running_after_each_group"].as_array().unwrap().iter().enumerate() {
        let one = Statistics {
            mean: vec![statistics.mean[group].clone()],
            variance: vec![statistics.variance[group].clone()],
            count: vec![statistics.count[group]],
        };
        one.move_running(&mut mean, &mut variance);
        assert_close(&widen(&mean), &numbers(&expected["running_mean"]), 1e-5, 1e-5, "running mean");
        assert_close(&widen(&variance), &numbers(&expected["running_var"]), 1e-5, 1e-5, "running variance");
    }
    eval_mode_uses_running_statistics(case, &sizes, &mean, &variance);
}

/// Folded into a 1×1 identity convolution, as inference does it.
fn eval_mode_uses_running_statistics(case: &Value, sizes: &[usize], mean: &[f32], variance: &[f32]) {
    let channels = mean.len();
    let per_group = sizes[1..].iter().product();
    let x = channels_last(floats(&case["x"])[..per_group].to_vec(), &sizes[1..]);
    let (weight, bias) = (floats(&case["weight"]), floats(&case["bias"]));
    let scale: Vec<f32> = (0..channels).map(|c| weight[c] / (variance[c] + 1e-5).sqrt()).collect();
    let shift: Vec<f32> = (0..channels).map(|c| bias[c] - mean[c] * scale[c]).collect();
    let mut diagonal = vec![0.0; channels * channels];
    (0..channels).for_each(|c| diagonal[c * channels + c] = scale[c]);
    let kernel = Tensor::from_vec(diagonal, (channels, channels, 1, 1), &Device::Cpu).unwrap();
    let shift = Tensor::new(shift.as_slice(), &Device::Cpu).unwrap();
    let y = convolution_bias(&activations(&x), &kernel, &shift, [1, 0], None, false).unwrap();
    assert_close(&channels_first(y.numbers(), &x), &numbers(&case["eval_y_of_group_0"]), 1e-5, 1e-5, "eval");
}

#[test]
fn batch_norm_of_single_values_is_refused() {
    let x = Tensor::zeros((3, 1, 1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    let one = Tensor::ones(2, candle_core::DType::F32, &Device::Cpu).unwrap();
    let x = Node::constant(activations(&x));
    let layer = Layer { weight: &one, bias: &one, shortcut: None, relu: false };
    assert!(batch_norm(&mut Tape::default(), &x, &layer, &[2, 1]).is_err());
    assert!(batch_norm(&mut Tape::default(), &x, &layer, &[2]).is_err(), "groups must add up");
}

/// y, dx and dweight of a convolution in the reference's order.
fn convolve(x: &Tensor, weight: &Tensor, dy: &Tensor, stride: usize, padding: usize) -> [Vec<f64>; 3] {
    let inputs = [x.clone(), weight.clone()];
    let apply = |tape: &mut Tape, x: &[Operand]| convolution(tape, x[0].value(), &x[1].tensor, stride, padding);
    let applied = body(&apply, &inputs, |_| values(dy));
    let dx = channels_first(gradient(&applied, 0), x);
    [channels_first(&applied.result, dy), dx, widen(gradient(&applied, 1))]
}

#[test]
fn small_convolutions_follow_the_reference() {
    let Some(file) = case("small_convolutions_follow_the_reference", "maxpool_batchnorm.json") else { return };
    for case in file["convolutions"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let size = |key: &str| case[key].as_u64().unwrap() as usize;
        let x = channels_last(floats(&case["x"]), &shape(&case["x"]));
        let dy = channels_last(floats(&case["dy"]), &shape(&case["dy"]));
        let weight = Tensor::from_vec(floats(&case["weight"]), shape(&case["weight"]), &Device::Cpu).unwrap();
        let found = convolve(&x, &weight, &dy, size("stride"), size("padding"));
        for (found, key) in found.iter().zip(["y", "dx", "dweight"]) {
            assert_close(found, &numbers(&case[key]), 1e-5, 1e-5, &format!("{name} {key}"));
        }
    }
}

#[test]
fn large_convolutions_follow_the_reference() {
    let Some(file) = case("large_convolutions_follow_the_reference", "maxpool_batchnorm.json") else { return };
    let seed = file["seed"].as_u64().unwrap();
    for case in file["large_convolutions"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let size = |key: &str| case[key].as_u64().unwrap() as usize;
        let sizes = |key: &str| crate::reference::indices(&case[key]);
        let fan_in: usize = sizes("weight_shape")[1..].iter().product();
        let x = generated(&format!("big:{name}:x"), seed, &sizes("x_shape"), 1.0);
        let weight = generated(&format!("big:{name}:w"), seed, &sizes("weight_shape"), (3.0 / fan_in as f64).sqrt());
        let dy = generated(&format!("big:{name}:dy"), seed, &shape(&case["y"]), 1.0);
        let (x, dy) = (channels_last(x.values, &x.shape), channels_last(dy.values, &dy.shape));
        let weight = weight.tensor().unwrap();
        let found = convolve(&x, &weight, &dy, size("stride"), size("padding"));
        for (found, key) in found.iter().zip(["y", "dx", "dweight"]) {
            let expected = &case[key];
            let allowed = 1e-5 * expected["largest"].as_f64().unwrap();
            let at: Vec<f64> = crate::reference::indices(&expected["at"]).iter().map(|&place| found[place]).collect();
            assert_close(&at, &numbers(&expected["values"]), 0.0, allowed, &format!("{name} {key}"));
            let norm = found.iter().map(|value| value * value).sum::<f64>().sqrt();
            assert_close(&[norm], &numbers(&expected["norm"]), 1e-5, 0.0, &format!("{name} {key} norm"));
            let largest = found.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            assert_close(&[largest], &numbers(&expected["largest"]), 1e-5, 0.0, &format!("{name} {key} largest"));
        }
    }
}
