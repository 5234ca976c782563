//! Convolution, max-pool and BatchNorm against the reference.

use candle_core::{Device, Tensor, Var};
use marginalia_trainer::engine::{
    batch_norm::batch_norm, convolution, convolution::convolution_bias, max_pool::max_pool,
};
use serde_json::Value;

use crate::reference::{assert_close, case, floats, generated, numbers, shape, widen};

/// A reference array (N, C, H, W) as a variable in the engine's order (N, H, W, C).
fn channels_last(values: Vec<f32>, shape: &[usize]) -> Var {
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    Var::from_tensor(&tensor.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()).unwrap()
}

fn channels_first(tensor: &Tensor) -> Vec<f64> {
    widen(&tensor.permute((0, 3, 1, 2)).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap())
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    widen(&tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
}

/// Σ y·dy, whose gradient with respect to y is dy.
fn against(y: &Tensor, dy: &Tensor) -> Tensor {
    (y * dy).unwrap().sum_all().unwrap()
}

#[test]
fn max_pool_is_exact() {
    let Some(file) = case("max_pool_is_exact", "maxpool_batchnorm.json") else { return };
    for case in file["max_pool"].as_array().unwrap() {
        let x = channels_last(floats(&case["x"]), &shape(&case["x"]));
        let dy = channels_last(floats(&case["dy"]), &shape(&case["dy"]));
        let y = max_pool(&x).unwrap();
        let gradients = against(&y, &dy).backward().unwrap();
        let rounded = |values: Vec<f64>| values.into_iter().map(|value| f64::from(value as f32)).collect::<Vec<_>>();
        let kind = case["kind"].as_str().unwrap();
        assert_close(&channels_first(&y), &rounded(numbers(&case["y"])), 0.0, 0.0, kind);
        // A pixel that wins several windows sums their gradients, which rounds.
        assert_close(&channels_first(gradients.get(&x).unwrap()), &numbers(&case["dx"]), 0.0, 1e-6, kind);
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
    let vector = |key: &str| Var::new(floats(&case[key]).as_slice(), &Device::Cpu).unwrap();
    let (weight, bias) = (vector("weight"), vector("bias"));
    let (y, statistics) = batch_norm(&x, &weight, &bias, &vec![images; groups], false).unwrap();
    assert_close(&channels_first(&y), &numbers(&case["y"]), 1e-5, 1e-5, "y");

    let gradients = against(&y, &dy).backward().unwrap();
    assert_close(&channels_first(gradients.get(&x).unwrap()), &numbers(&case["dx"]), 1e-5, 1e-5, "dx");
    assert_close(&flat(gradients.get(&weight).unwrap()), &numbers(&case["dweight"]), 1e-5, 1e-5, "dweight");
    assert_close(&flat(gradients.get(&bias).unwrap()), &numbers(&case["dbias"]), 1e-5, 1e-5, "dbias");

    let before = &case["running_before"];
    let (mut mean, mut variance) = (floats(&before["running_mean"]), floats(&before["running_var"]));
    for (group, expected) in case["running_after_each_group"].as_array().unwrap().iter().enumerate() {
        let one = marginalia_trainer::engine::batch_norm::Statistics {
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
    let y = convolution_bias(&x, &kernel, &shift, 1, 0, false).unwrap();
    assert_close(&channels_first(&y), &numbers(&case["eval_y_of_group_0"]), 1e-5, 1e-5, "eval");
}

#[test]
fn batch_norm_of_single_values_is_refused() {
    let x = Tensor::zeros((3, 1, 1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
    let one = Tensor::ones(2, candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(batch_norm(&x, &one, &one, &[2, 1], false).is_err());
    assert!(batch_norm(&x, &one, &one, &[2], false).is_err(), "groups must add up");
}

/// y, dx and dweight of a convolution in the reference's order.
fn convolve(x: &Var, weight: &Var, dy: &Tensor, stride: usize, padding: usize) -> [Vec<f64>; 3] {
    let y = convolution::convolution(x, weight, stride, padding).unwrap();
    let gradients = against(&y, dy).backward().unwrap();
    [channels_first(&y), channels_first(gradients.get(x).unwrap()), flat(gradients.get(weight).unwrap())]
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
        let weight = Var::from_tensor(&weight).unwrap();
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
        let weight = Var::from_tensor(&weight.tensor().unwrap()).unwrap();
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
