//! Every operator's gradient against finite differences, and the losses against the reference.

use candle_core::{Device, Result, Tensor, Var};
use marginalia_trainer::engine::add_relu::add_relu;
use marginalia_trainer::engine::average_pool::global_average_pool;
use marginalia_trainer::engine::batch_norm::batch_norm;
use marginalia_trainer::engine::convolution::{convolution, convolution_bias};
use marginalia_trainer::engine::cross_entropy::{cross_entropy, one_hot, weighted_mean};
use marginalia_trainer::engine::dropout::dropout;
use marginalia_trainer::engine::info_nce::info_nce;
use marginalia_trainer::engine::linear::linear;
use marginalia_trainer::engine::max_pool::max_pool;
use marginalia_trainer::engine::normalise::normalise;
use marginalia_trainer::streams::{Purpose, Stream, Streams};
use proptest::prelude::*;

use crate::reference::{assert_close, case, floats, numbers, rows, widen};

fn stream(item: u64) -> Stream {
    Streams::new(7, 1).stream(0, 0, Purpose::Method, item)
}

fn random(shape: &[usize], item: u64) -> Tensor {
    let mut stream = stream(item);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.uniform(-1.0, 1.0) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Compares the gradient of a weighted sum of `f`'s output with central differences, for every input.
fn check_gradient(name: &str, shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let inputs: Vec<Tensor> = shapes.iter().enumerate().map(|(item, shape)| random(shape, item as u64)).collect();
    let variables: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let tensors: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
    let y = f(&tensors).unwrap();
    let weights = random(y.dims(), 99);
    let gradients = (&y * &weights).unwrap().sum_all().unwrap().backward().unwrap();
    let weights: Vec<f64> = widen(&weights.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    let total = |inputs: &[Tensor]| -> f64 {
        let y = widen(&f(inputs).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap());
        y.iter().zip(&weights).map(|(y, weight)| y * weight).sum()
    };
    let step = 2e-3f32;
    for (number, variable) in variables.iter().enumerate() {
        let found = gradients.get(variable).unwrap_or_else(|| panic!("{name}: input {number} has no gradient"));
        let found = widen(&found.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        let values = inputs[number].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let moved = |place: usize, by: f32| {
            let mut values = values.clone();
            values[place] += by;
            let mut inputs = inputs.clone();
            inputs[number] = Tensor::from_vec(values, shapes[number], &Device::Cpu).unwrap();
            total(&inputs)
        };
        let (here, stride) = (total(&inputs), (values.len() / 40).max(1));
        let (mut checked, mut kinks) = (0, 0);
        for place in (0..values.len()).step_by(stride) {
            let right = (moved(place, step) - here) / f64::from(step);
            let left = (here - moved(place, -step)) / f64::from(step);
            // Where ReLU or a maximum changes sides within the step there is no derivative to compare with.
            if (right - left).abs() > 0.05 {
                kinks += 1;
                continue;
            }
            checked += 1;
            let expected = (right + left) / 2.0;
            let allowed = 2e-2 * expected.abs().max(0.2);
            let off = (found[place] - expected).abs();
            assert!(off <= allowed, "{name}: input {number}[{place}]: {} instead of {expected}", found[place]);
        }
        assert!(checked > 4 * kinks, "{name}: input {number}: {kinks} kinks, only {checked} checked");
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    check_gradient("convolution 3x3/1", &[&[2, 5, 6, 3], &[4, 3, 3, 3]], |x| convolution(&x[0], &x[1], 1, 1));
    check_gradient("convolution on tiles of 2", &[&[3, 2, 2, 3], &[4, 3, 3, 3]], |x| convolution(&x[0], &x[1], 1, 1));
    check_gradient("convolution on tiles of 3", &[&[2, 3, 3, 3], &[4, 3, 3, 3]], |x| convolution(&x[0], &x[1], 1, 1));
    check_gradient("convolution on tiles of 4", &[&[2, 4, 8, 3], &[4, 3, 3, 3]], |x| convolution(&x[0], &x[1], 1, 1));
    check_gradient("convolution on cut tiles", &[&[1, 7, 11, 2], &[3, 2, 3, 3]], |x| convolution(&x[0], &x[1], 1, 1));
    check_gradient("convolution without padding", &[&[2, 6, 5, 2], &[3, 2, 3, 3]], |x| convolution(&x[0], &x[1], 1, 0));
    check_gradient("convolution 5x5/3", &[&[2, 9, 8, 2], &[3, 2, 5, 5]], |x| convolution(&x[0], &x[1], 3, 1));
    check_gradient("convolution 3x3/2", &[&[3, 7, 5, 2], &[3, 2, 3, 3]], |x| convolution(&x[0], &x[1], 2, 1));
    check_gradient("convolution 1x1/2", &[&[3, 6, 5, 2], &[3, 2, 1, 1]], |x| convolution(&x[0], &x[1], 2, 0));
    check_gradient("convolution 7x7/2", &[&[2, 9, 8, 2], &[3, 2, 7, 7]], |x| convolution(&x[0], &x[1], 2, 3));
    check_gradient("max-pool", &[&[2, 7, 6, 2]], |x| max_pool(&x[0]));
    let norm = |x: &[Tensor], relu| Ok(batch_norm(&x[0], &x[1], &x[2], &[3, 2], relu)?.0);
    check_gradient("batch-norm", &[&[5, 3, 3, 2], &[2], &[2]], |x| norm(x, false));
    check_gradient("add and relu", &[&[2, 3, 4, 4], &[2, 3, 4, 4]], |x| add_relu(&x[0], &x[1]));
    check_gradient("average pool", &[&[2, 4, 5, 3]], |x| global_average_pool(&x[0]));
    check_gradient("dropout", &[&[6, 5]], |x| dropout(&x[0], 0.5, &mut stream(5)));
    check_gradient("linear", &[&[4, 6], &[3, 6], &[3]], |x| linear(&x[0], &x[1], &x[2]));
    check_gradient("normalise", &[&[4, 6]], |x| normalise(&x[0]));
    let soft = candle_nn::ops::softmax(&random(&[4, 5], 50), 1).unwrap();
    check_gradient("cross-entropy, soft", &[&[4, 5]], |x| cross_entropy(&x[0], &soft));
    let hard = one_hot(&[1, 0, 4, 4], 5).unwrap();
    check_gradient("cross-entropy, hard", &[&[4, 5]], |x| cross_entropy(&x[0], &hard));
    check_gradient("InfoNCE", &[&[3, 4], &[3, 4], &[3, 4]], |x| info_nce(x, 0.5));
}

/// Every number that a small network's forward and backward pass makes, on `threads` threads.
fn pass_on(threads: usize) -> Vec<Vec<f32>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let variable = |shape: &[usize], item| Var::from_tensor(&random(shape, item)).unwrap();
    let variables = [
        variable(&[5, 23, 18, 3], 1),
        variable(&[20, 3, 7, 7], 2),
        variable(&[70, 20, 3, 3], 3),
        variable(&[33, 70, 3, 3], 4),
        variable(&[20], 5),
        variable(&[20], 6),
    ];
    let [x, first, second, third, scale, shift] = &variables;
    pool.install(|| {
        let y = convolution(x, first, 2, 3).unwrap();
        let y = batch_norm(&y, scale, shift, &[2, 3], true).unwrap().0;
        let y = convolution(&max_pool(&y).unwrap(), second, 1, 1).unwrap();
        let y = convolution(&y, third, 2, 1).unwrap();
        let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let mut all = vec![numbers(&y)];
        all.extend(variables.iter().map(|variable| numbers(gradients.get(variable).unwrap())));
        all
    })
}

#[test]
fn results_are_the_same_on_any_number_of_threads() {
    let once = pass_on(1);
    for threads in [1, 2, 3, 8] {
        assert!(pass_on(threads) == once, "{threads} threads differ from one");
    }
}

#[test]
fn nonsense_shapes_are_errors() {
    let x = random(&[2, 5, 5, 3], 1);
    assert!(convolution(&x, &random(&[4, 2, 3, 3], 2), 1, 1).is_err(), "channels differ");
    assert!(convolution(&x, &random(&[4, 3, 3, 2], 2), 1, 1).is_err(), "not square");
    assert!(convolution(&x, &random(&[4, 3, 3, 3], 2), 0, 1).is_err(), "stride 0");
    assert!(convolution(&x, &random(&[4, 3, 7, 7], 2), 1, 0).is_err(), "kernel larger than input");
    let nothing = Tensor::zeros((0, 5, 5, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(convolution(&nothing, &random(&[4, 3, 3, 3], 2), 1, 1).is_err(), "no images");
    assert!(max_pool(&nothing).is_err(), "no images");
    let two = Tensor::ones(2, candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(batch_norm(&x, &two, &two, &[2], false).is_err(), "channels differ");
    assert!(convolution_bias(&x, &random(&[4, 3, 3, 3], 2), &two, 1, 1, true).is_err(), "bias differs");
}

#[test]
fn relu_in_batch_norm_is_relu_behind_it() {
    let (x, weight, bias) = (random(&[6, 4, 4, 3], 1), random(&[3], 2), random(&[3], 3));
    let run = |fused: bool| {
        let x = Var::from_tensor(&x).unwrap();
        let (y, _) = batch_norm(&x, &weight, &bias, &[2, 4], fused).unwrap();
        let y = if fused { y } else { y.relu().unwrap() };
        let gradients = (&y * &random(y.dims(), 9)).unwrap().sum_all().unwrap().backward().unwrap();
        let numbers = |tensor: &Tensor| widen(&tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        (numbers(&y), numbers(gradients.get(&x).unwrap()))
    };
    let (fused, apart) = (run(true), run(false));
    assert_close(&fused.0, &apart.0, 1e-6, 1e-6, "y");
    assert_close(&fused.1, &apart.1, 1e-5, 1e-6, "dx");
}

#[test]
fn grouped_statistics_are_those_of_each_view_alone() {
    let (x, weight, bias) = (random(&[7, 4, 4, 3], 1), random(&[3], 2), random(&[3], 3));
    let (all, statistics) = batch_norm(&x, &weight, &bias, &[3, 4], true).unwrap();
    for (group, (start, count)) in [(0, 3), (3, 4)].into_iter().enumerate() {
        let part = x.narrow(0, start, count).unwrap();
        let (alone, own) = batch_norm(&part, &weight, &bias, &[count], true).unwrap();
        let together = all.narrow(0, start, count).unwrap().contiguous().unwrap();
        let difference = (alone - together).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(difference, 0.0);
        assert_eq!(own.mean[0], statistics.mean[group]);
    }
}

#[test]
fn info_nce_follows_the_reference() {
    let Some(file) = case("info_nce_follows_the_reference", "losses.json") else { return };
    let given = &file["info_nce"];
    let view = |key: &str| {
        let size = rows(&given[key]);
        let tensor = Tensor::from_vec(floats(&given[key]), (size.len(), size[0].len()), &Device::Cpu).unwrap();
        normalise(&tensor).unwrap()
    };
    let (a, b) = (view("a"), view("b"));
    let temperature = given["temperature"].as_f64().unwrap();
    let value = |views: &[Tensor]| f64::from(info_nce(views, temperature).unwrap().to_scalar::<f32>().unwrap());
    assert_close(&[value(&[a.clone(), b.clone()])], &numbers(&given["value"]), 1e-5, 1e-5, "InfoNCE");
    let one = [a.narrow(0, 0, 1).unwrap(), b.narrow(0, 0, 1).unwrap()];
    assert_close(&[value(&one)], &numbers(&given["value_one_pair"]), 0.0, 1e-6, "InfoNCE of one pair");
}

#[test]
fn a_zero_row_normalises_without_nan() {
    let x = Var::zeros((1, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
    let gradients = normalise(&x).unwrap().sum_all().unwrap().backward().unwrap();
    let gradient = gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(gradient.iter().all(|value| value.is_finite()), "{gradient:?}");
}

#[test]
fn nothing_accepted_is_zero_without_gradient() {
    let x = Var::from_tensor(&random(&[3, 5], 1)).unwrap();
    let rows = cross_entropy(&x, &one_hot(&[0, 1, 2], 5).unwrap()).unwrap();
    let loss = weighted_mean(&rows, &[0.0; 3], 3.0).unwrap();
    assert_eq!(loss.to_scalar::<f32>().unwrap(), 0.0);
    assert!(loss.backward().unwrap().get(&x).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn biased_convolution_is_convolution_then_bias_then_relu(
        channels in prop::sample::select(vec![1usize, 3, 4, 16, 33, 70]), images in 1usize..4, height in 1usize..14,
        width in 1usize..14, outputs in prop::sample::select(vec![1usize, 4, 7, 16, 33, 65, 130]),
        kernel in prop::sample::select(vec![1usize, 3]), stride in 1usize..3, seed in 0u64..1000
    ) {
        let padding = kernel / 2;
        let x = random(&[images, height, width, channels], seed);
        let weight = random(&[outputs, channels, kernel, kernel], seed + 1);
        let bias = random(&[outputs], seed + 2);
        let plain = convolution(&x, &weight, stride, padding).unwrap();
        let expected = plain.broadcast_add(&bias).unwrap().relu().unwrap();
        let found = convolution_bias(&x, &weight, &bias, stride, padding, true).unwrap();
        let difference = (found - expected).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        prop_assert!(difference < 1e-5, "{difference}");
        // candle's own convolution is the witness.
        let theirs = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap().conv2d(&weight, padding, stride, 1, 1).unwrap();
        let theirs = theirs.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
        let difference = (plain - theirs).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        prop_assert!(difference < 2e-4, "{difference}");
    }

    #[test]
    fn dropout_keeps_the_mean(rate in 0.05f64..0.9, item in 0u64..500) {
        let ones = Tensor::ones(20_000, candle_core::DType::F32, &Device::Cpu).unwrap();
        let mean = dropout(&ones, rate, &mut stream(item)).unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
        prop_assert!((mean - 1.0).abs() < 0.2, "{mean}");
    }
}
