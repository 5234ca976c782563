//! Every operator's gradient against finite differences, and the losses against the reference.

use candle_core::{Device, Result, Tensor, Var};
use marginalia_trainer::engine::average_pool::global_average_pool;
use marginalia_trainer::engine::batch_norm::{Layer, batch_norm};
use marginalia_trainer::engine::convolution::{convolution, convolution_bias};
use marginalia_trainer::engine::cross_entropy::{cross_entropy, one_hot, weighted_mean};
use marginalia_trainer::engine::dropout::dropout;
use marginalia_trainer::engine::info_nce::info_nce;
use marginalia_trainer::engine::linear::linear;
use marginalia_trainer::engine::maps::Activations;
use marginalia_trainer::engine::max_pool::max_pool;
use marginalia_trainer::engine::normalise::normalise;
use marginalia_trainer::engine::tape::{Node, Tape};
use marginalia_trainer::streams::{Purpose, Stream, Streams};
use proptest::prelude::*;

use crate::operators::{Applied, Body, Operand, activations, body, candle, values};
use crate::reference::{assert_close, case, floats, numbers, rows, widen};

fn stream(item: u64) -> Stream {
    Streams::new(7, 1).stream(0, 0, Purpose::Method, item)
}

fn random(shape: &[usize], item: u64) -> Tensor {
    let mut stream = stream(item);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| stream.uniform(-1.0, 1.0) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Compares the gradient of a weighted sum of an operator's results with central differences, for every input.
fn check_gradient(name: &str, shapes: &[&[usize]], apply: impl Fn(&[Tensor]) -> Applied) {
    let inputs: Vec<Tensor> = shapes.iter().enumerate().map(|(item, shape)| random(shape, item as u64)).collect();
    let applied = apply(&inputs);
    let weights = widen(&factors(applied.result.len()));
    let total = |inputs: &[Tensor]| -> f64 {
        widen(&apply(inputs).result).iter().zip(&weights).map(|(y, weight)| y * weight).sum()
    };
    let step = 2e-3f32;
    for (number, found) in applied.gradients.iter().enumerate() {
        let found = found.as_ref().unwrap_or_else(|| panic!("{name}: input {number} has no gradient"));
        let (found, values) = (widen(found), values(&inputs[number]));
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

fn factors(count: usize) -> Vec<f32> {
    values(&random(&[count], 99))
}

fn check_body(name: &str, shapes: &[&[usize]], f: Body) {
    check_gradient(name, shapes, |inputs| body(f, inputs, factors));
}

fn check_candle(name: &str, shapes: &[&[usize]], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    check_gradient(name, shapes, |inputs| candle(&f, inputs, factors));
}

/// BatchNorm of the first operand by the next two, with the fourth as shortcut where there is one.
fn normed(tape: &mut Tape, x: &[Operand], groups: &[usize], relu: bool) -> Result<Node> {
    let shortcut = x.get(3).map(Operand::value);
    let layer = Layer { weight: &x[1].tensor, bias: &x[2].tensor, shortcut, relu };
    Ok(batch_norm(tape, x[0].value(), &layer, groups)?.0)
}

#[test]
fn convolutions_agree_with_finite_differences() {
    let check = |name: &str, x: [usize; 4], weight: [usize; 4], stride: usize, padding: usize| {
        check_body(name, &[&x, &weight], &|tape, x| convolution(tape, x[0].value(), &x[1].tensor, stride, padding));
    };
    check("3x3/1", [2, 5, 6, 3], [4, 3, 3, 3], 1, 1);
    check("3x3/1 without padding", [2, 6, 5, 2], [3, 2, 3, 3], 1, 0);
    check("3x3/1 with wide padding", [2, 4, 3, 2], [3, 2, 3, 3], 1, 2);
    check("tiles of 2", [2, 2, 2, 48], [50, 48, 3, 3], 1, 1);
    check("tiles of 3", [1, 3, 3, 50], [48, 50, 3, 3], 1, 1);
    check("tiles of 4", [1, 4, 8, 48], [48, 48, 3, 3], 1, 1);
    check("cut tiles", [1, 7, 5, 49], [48, 49, 3, 3], 1, 1);
    check("tiles without padding", [1, 6, 5, 48], [49, 48, 3, 3], 1, 0);
    check("5x5/3", [2, 9, 8, 2], [3, 2, 5, 5], 3, 1);
    check("3x3/2", [3, 7, 5, 2], [3, 2, 3, 3], 2, 1);
    check("1x1/2", [3, 6, 5, 2], [3, 2, 1, 1], 2, 0);
    check("7x7/2", [2, 9, 8, 2], [3, 2, 7, 7], 2, 3);
    check("7x7/2 of one channel", [2, 9, 8, 1], [3, 1, 7, 7], 2, 3);
}

#[test]
fn body_operators_agree_with_finite_differences() {
    check_body("max-pool", &[&[2, 7, 6, 2]], &|tape, x| max_pool(tape, x[0].value()));
    check_body("max-pool of a vector and more", &[&[1, 5, 4, 19]], &|tape, x| max_pool(tape, x[0].value()));
    check_body("average pool", &[&[2, 4, 5, 3]], &|tape, x| global_average_pool(tape, x[0].value()));
    let (x, channels): (&[usize], &[usize]) = (&[5, 3, 3, 2], &[2]);
    check_body("batch-norm", &[x, channels, channels], &|tape, x| normed(tape, x, &[3, 2], false));
    check_body("batch-norm and shortcut", &[x, channels, channels, x], &|tape, x| normed(tape, x, &[3, 2], false));
    let (x, channels): (&[usize], &[usize]) = (&[6, 3, 3, 18], &[18]);
    check_body("batch-norm of 18 channels", &[x, channels, channels], &|tape, x| normed(tape, x, &[4, 2], false));
}

#[test]
fn a_value_used_twice_gets_both_gradients() {
    check_body("residual block", &[&[4, 3, 3, 2], &[2, 2, 3, 3], &[2], &[2]], &|tape, x| {
        let y = convolution(tape, x[0].value(), &x[1].tensor, 1, 1)?;
        let layer = Layer { weight: &x[2].tensor, bias: &x[3].tensor, shortcut: Some(x[0].value()), relu: false };
        Ok(batch_norm(tape, &y, &layer, &[4])?.0)
    });
    check_body("one weight twice", &[&[2, 4, 4, 2], &[2, 2, 3, 3]], &|tape, x| {
        let y = convolution(tape, x[0].value(), &x[1].tensor, 1, 1)?;
        convolution(tape, &y, &x[1].tensor, 2, 1)
    });
}

#[test]
fn head_and_losses_agree_with_finite_differences() {
    check_candle("dropout", &[&[6, 5]], |x| dropout(&x[0], 0.5, &mut stream(5)));
    check_candle("linear", &[&[4, 6], &[3, 6], &[3]], |x| linear(&x[0], &x[1], &x[2]));
    check_candle("normalise", &[&[4, 6]], |x| normalise(&x[0]));
    let soft = candle_nn::ops::softmax(&random(&[4, 5], 50), 1).unwrap();
    check_candle("cross-entropy, soft", &[&[4, 5]], |x| cross_entropy(&x[0], &soft));
    let hard = one_hot(&[1, 0, 4, 4], 5).unwrap();
    check_candle("cross-entropy, hard", &[&[4, 5]], |x| cross_entropy(&x[0], &hard));
    check_candle("InfoNCE", &[&[3, 4], &[3, 4], &[3, 4]], |x| info_nce(x, 0.5));
}

/// Every number that a small network's forward and backward pass makes, on `threads` threads.
fn pass_on(threads: usize) -> Vec<Option<Vec<f32>>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let inputs = [
        random(&[5, 23, 18, 3], 1),
        random(&[20, 3, 7, 7], 2),
        random(&[70, 20, 3, 3], 3),
        random(&[70, 70, 3, 3], 4),
        random(&[33, 70, 3, 3], 5),
        random(&[20], 6),
        random(&[20], 7),
        random(&[70], 8),
        random(&[70], 9),
    ];
    let network = |tape: &mut Tape, x: &[Operand]| {
        let y = convolution(tape, x[0].value(), &x[1].tensor, 2, 3)?;
        let layer = Layer { weight: &x[5].tensor, bias: &x[6].tensor, shortcut: None, relu: true };
        let y = batch_norm(tape, &y, &layer, &[2, 3])?.0;
        let y = max_pool(tape, &y)?;
        let shortcut = convolution(tape, &y, &x[2].tensor, 1, 1)?;
        let y = convolution(tape, &shortcut, &x[3].tensor, 1, 1)?;
        let layer = Layer { weight: &x[7].tensor, bias: &x[8].tensor, shortcut: Some(&shortcut), relu: true };
        let y = batch_norm(tape, &y, &layer, &[2, 3])?.0;
        let y = convolution(tape, &y, &x[4].tensor, 2, 1)?;
        global_average_pool(tape, &y)
    };
    let Applied { result, gradients } = pool.install(|| body(&network, &inputs, factors));
    [vec![Some(result)], gradients].concat()
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
    let tape = &mut Tape::default();
    let x = Node::constant(activations(&random(&[2, 5, 5, 3], 1)));
    assert!(convolution(tape, &x, &random(&[4, 2, 3, 3], 2), 1, 1).is_err(), "channels differ");
    assert!(convolution(tape, &x, &random(&[4, 3, 3, 2], 2), 1, 1).is_err(), "not square");
    assert!(convolution(tape, &x, &random(&[4, 3, 3, 3], 2), 0, 1).is_err(), "stride 0");
    assert!(convolution(tape, &x, &random(&[4, 3, 7, 7], 2), 1, 0).is_err(), "kernel larger than input");
    let nothing = Tensor::zeros((0, 5, 5, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    let nothing = Node::constant(activations(&nothing));
    assert!(convolution(tape, &nothing, &random(&[4, 3, 3, 3], 2), 1, 1).is_err(), "no images");
    assert!(max_pool(tape, &nothing).is_err(), "no images");
    let two = Tensor::ones(2, candle_core::DType::F32, &Device::Cpu).unwrap();
    let layer = Layer { weight: &two, bias: &two, shortcut: None, relu: false };
    assert!(batch_norm(tape, &x, &layer, &[2]).is_err(), "channels differ");
    let weight = random(&[4, 3, 3, 3], 2);
    assert!(convolution_bias(x.value(), &weight, &two, [1, 1], None, true).is_err(), "bias differs");
    let bias = random(&[4], 3);
    assert!(convolution_bias(x.value(), &weight, &bias, [1, 1], Some(x.value()), true).is_err(), "shortcut differs");
    assert!(Activations::from_views(&[&random(&[2, 3, 5, 5], 1), &random(&[2, 1, 5, 5], 2)]).is_err(), "views differ");
    assert!(Activations::from_views(&[]).is_err(), "no views");
}

#[test]
fn views_become_channels_last_in_order() {
    let views = [random(&[2, 3, 4, 5], 1), random(&[1, 3, 4, 5], 2)];
    let found = Activations::from_views(&views.each_ref()).unwrap();
    let expected = Tensor::cat(&views, 0).unwrap().permute((0, 2, 3, 1)).unwrap();
    assert_eq!(found.numbers(), values(&expected));
}

#[test]
fn what_is_fused_into_batch_norm_is_what_comes_behind_it() {
    let [x, shortcut] = [1, 4].map(|item| random(&[6, 4, 4, 19], item));
    let inputs = [x, random(&[19], 2), random(&[19], 3), shortcut];
    let fused = body(&|tape, x| normed(tape, x, &[2, 4], true), &inputs, factors);
    let plain = body(&|tape, x| normed(tape, x, &[2, 4], false), &inputs[..3], |count| vec![0.0; count]);
    let sum: Vec<f32> = plain.result.iter().zip(values(&inputs[3])).map(|(y, shortcut)| y + shortcut).collect();
    let cut: Vec<f32> = sum.iter().map(|value| value.max(0.0)).collect();
    assert_eq!(fused.result, cut);
    let dy: Vec<f32> = factors(cut.len()).iter().zip(&sum).map(|(dy, y)| if *y > 0.0 { *dy } else { 0.0 }).collect();
    assert_eq!(fused.gradients[3].as_ref().unwrap(), &dy, "shortcut");
    let apart = body(&|tape, x| normed(tape, x, &[2, 4], false), &inputs[..3], |_| dy.clone());
    assert_eq!(fused.gradients[..3], apart.gradients[..]);
}

#[test]
fn grouped_statistics_are_those_of_each_view_alone() {
    let (x, weight, bias) = (random(&[7, 4, 4, 3], 1), random(&[3], 2), random(&[3], 3));
    let layer = Layer { weight: &weight, bias: &bias, shortcut: None, relu: true };
    let run = |x: &Tensor, groups: &[usize]| {
        let (y, statistics) =
            batch_norm(&mut Tape::default(), &Node::constant(activations(x)), &layer, groups).unwrap();
        (y.value().numbers().to_vec(), statistics)
    };
    let (all, statistics) = run(&x, &[3, 4]);
    for (group, (start, count)) in [(0, 3), (3, 4)].into_iter().enumerate() {
        let (alone, own) = run(&x.narrow(0, start, count).unwrap(), &[count]);
        let image = all.len() / 7;
        assert_eq!(alone, all[start * image..(start + count) * image]);
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

fn furthest(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).fold(0.0, f32::max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn biased_convolution_is_convolution_then_shortcut_then_bias_then_relu(
        channels in prop::sample::select(vec![1usize, 3, 4, 16, 33, 70]), images in 1usize..4, height in 1usize..14,
        width in 1usize..14, outputs in prop::sample::select(vec![1usize, 4, 7, 16, 33, 65, 130]),
        kernel in prop::sample::select(vec![1usize, 3]), stride in 1usize..3, seed in 0u64..1000
    ) {
        let padding = kernel / 2;
        let x = random(&[images, height, width, channels], seed);
        let weight = random(&[outputs, channels, kernel, kernel], seed + 1);
        let bias = random(&[outputs], seed + 2);
        let value = activations(&x);
        let input = Node::constant(activations(&x));
        let plain = convolution(&mut Tape::default(), &input, &weight, stride, padding).unwrap();
        let plain = plain.value();
        // candle's own convolution is the witness.
        let images = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        let theirs = images.conv2d(&weight, padding, stride, 1, 1).unwrap();
        let theirs = theirs.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
        prop_assert!(furthest(plain.numbers(), &values(&theirs)) < 2e-4);
        let shortcut = random(theirs.dims(), seed + 3);
        let added = activations(&shortcut);
        let found = convolution_bias(&value, &weight, &bias, [stride, padding], Some(&added), true).unwrap();
        let expected = (theirs + shortcut).unwrap().broadcast_add(&bias).unwrap().relu().unwrap();
        prop_assert!(furthest(found.numbers(), &values(&expected)) < 2e-4);
        let found = convolution_bias(&value, &weight, &bias, [stride, padding], None, false).unwrap();
        let plain = Tensor::from_slice(plain.numbers(), expected.dims(), &Device::Cpu).unwrap();
        prop_assert!(furthest(found.numbers(), &values(&plain.broadcast_add(&bias).unwrap())) < 1e-4);
    }

    #[test]
    fn dropout_keeps_the_mean(rate in 0.05f64..0.9, item in 0u64..500) {
        let ones = Tensor::ones(20_000, candle_core::DType::F32, &Device::Cpu).unwrap();
        let mean = dropout(&ones, rate, &mut stream(item)).unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap();
        prop_assert!((mean - 1.0).abs() < 0.2, "{mean}");
    }
}
