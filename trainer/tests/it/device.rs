//! Candle's operators against the engine: single ones, whole steps, scoring.
//!
//! They run on candle's own CPU, or on the device that `MARGINALIA_DEVICE` names (such as `cuda:0`).

use candle_core::{Device, Tensor};
use marginalia_trainer::device::Backend;
use marginalia_trainer::engine::batch_norm::{Layer, Statistics, batch_norm};
use marginalia_trainer::engine::convolution::convolution;
use marginalia_trainer::engine::device;
use marginalia_trainer::engine::device::tape::{Node, Tape};
use marginalia_trainer::engine::max_pool::max_pool;
use marginalia_trainer::learner::{Learner, LearnerState};
use marginalia_trainer::methods::{self, StepBatch, value};
use marginalia_trainer::network::Architecture;
use marginalia_trainer::state_dict::StateDict;
use marginalia_trainer::streams::Streams;
use marginalia_trainer::{Control, Error, Scorer, Start, TrainerConfig, Training};

use crate::operators::{Applied, Operand, body, values};
use crate::reference::{assert_close, generated, widen};
use crate::synthetic::{classes, config, data, face};

fn device() -> Device {
    match std::env::var("MARGINALIA_DEVICE") {
        Ok(name) => match Backend::open(&name).unwrap() {
            Backend::Candle(device) => device,
            Backend::Engine => Device::Cpu,
        },
        Err(_) => Device::Cpu,
    }
}

/// (N, C, H, W) ↔ (N, H, W, C).
fn channels_last(tensor: &Tensor) -> Tensor {
    tensor.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap()
}

fn random(name: &str, shape: &[usize]) -> Tensor {
    generated(name, 11, shape, 1.0).tensor().unwrap()
}

/// An operator of the device: from maps and parameters to its result.
type OnDevice<'a> = &'a dyn Fn(&mut Tape, &[Node], &[Tensor]) -> Node;

/// Result and gradients of an operator on the device, for dy = the numbers called `dy`. Maps (N, C, H, W) come first
/// among the inputs; results and gradients are given in the engine's order.
fn on_device(f: OnDevice, maps: &[Tensor], parameters: &[Tensor]) -> Applied {
    let mut tape = Tape::default();
    let there = |tensor: &Tensor| tensor.to_device(&device()).unwrap();
    let nodes: Vec<Node> = maps.iter().map(|tensor| tape.variable(there(tensor))).collect();
    let parameters: Vec<Tensor> = parameters.iter().map(there).collect();
    let y = f(&mut tape, &nodes, &parameters);
    let gradients = tape.backward(&y, &there(&random("dy", y.value().dims()))).unwrap();
    let of_maps = nodes.iter().map(|node| gradients.of_variable(node).map(channels_last));
    let of_parameters = parameters.iter().map(|parameter| gradients.of(parameter).cloned());
    let gradients = of_maps.chain(of_parameters).map(|gradient| gradient.map(|gradient| values(&gradient))).collect();
    Applied { result: values(&channels_last(y.value())), gradients }
}

/// The same by the engine; `shape` is the result's (N, C, H, W).
fn by_engine(f: crate::operators::Body, maps: &[Tensor], parameters: &[Tensor], shape: &[usize]) -> Applied {
    let inputs: Vec<Tensor> = maps.iter().map(channels_last).chain(parameters.iter().cloned()).collect();
    body(f, &inputs, |_| values(&channels_last(&random("dy", shape))))
}

fn assert_alike(found: &Applied, expected: &Applied, tolerance: f64, what: &str) {
    let close = |found: &[f32], expected: &[f32], part: &str| {
        let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        let allowed = tolerance * f64::from(largest);
        assert_close(&widen(found), &widen(expected), 0.0, allowed, &format!("{what} {part}"));
    };
    close(&found.result, &expected.result, "result");
    for (operand, (found, expected)) in found.gradients.iter().zip(&expected.gradients).enumerate() {
        let (found, expected) = (found.as_deref().unwrap(), expected.as_deref().unwrap());
        close(found, expected, &format!("gradient {operand}"));
    }
}

#[test]
fn convolutions_give_what_the_engine_gives() {
    for (side, kernel, stride, padding, inputs, outputs) in [
        (13, 7, 2, 3, 3, 5),
        (12, 7, 2, 3, 1, 4),
        (9, 3, 1, 1, 4, 6),
        (9, 3, 2, 1, 4, 6),
        (8, 3, 2, 1, 6, 8),
        (8, 1, 2, 0, 4, 8),
        (7, 1, 2, 0, 4, 8),
        (2, 3, 1, 1, 32, 32),
        (1, 3, 1, 1, 8, 8),
        (2, 3, 2, 1, 8, 8),
    ] {
        let x = random("x", &[5, inputs, side, side]);
        let weight = random("weight", &[outputs, inputs, kernel, kernel]);
        let there = on_device(
            &|tape, maps, parameters| {
                device::convolution::convolution(tape, &maps[0], &parameters[0], stride, padding).unwrap()
            },
            std::slice::from_ref(&x),
            std::slice::from_ref(&weight),
        );
        let after = (side + 2 * padding - kernel) / stride + 1;
        let here = by_engine(
            &|tape, operands| convolution(tape, operands[0].value(), &operands[1].tensor, stride, padding),
            &[x],
            &[weight],
            &[5, outputs, after, after],
        );
        assert_alike(&there, &here, 1e-5, &format!("{kernel}×{kernel}, stride {stride}, side {side}"));
    }
}

#[test]
fn max_pool_gives_what_the_engine_gives_where_values_are_equal_too() {
    for (height, width) in [(8, 8), (7, 9), (1, 2), (24, 24)] {
        // A few distinct values, below 0 too: most windows have several largest ones.
        let coarse = (random("x", &[3, 4, height, width]) * 2.0).unwrap().round().unwrap();
        let one = std::slice::from_ref(&coarse);
        let there = on_device(&|tape, maps, _| device::pool::max_pool(tape, &maps[0]).unwrap(), one, &[]);
        let shape = [3, 4, height.div_ceil(2), width.div_ceil(2)];
        let here = by_engine(&|tape, operands| max_pool(tape, operands[0].value()), one, &[], &shape);
        assert_alike(&there, &here, 1e-6, &format!("{height}×{width}"));
    }
}

#[test]
fn batch_norm_of_unequal_groups_gives_what_the_engine_gives() {
    let groups = [3, 2, 4];
    let shape = [9, 5, 6, 7];
    // Far from 0, where a careless variance has no digits left.
    let maps = [(random("x", &shape) + 30.0).unwrap(), random("shortcut", &shape)];
    let parameters = [random("weight", &[5]), random("bias", &[5])];
    let seen = std::cell::RefCell::new((Statistics::default(), Vec::new()));
    let there = on_device(
        &|tape, maps, parameters| {
            let (weight, bias) = (&parameters[0], &parameters[1]);
            let layer = device::batch_norm::Layer { weight, bias, shortcut: Some(&maps[1]), relu: true };
            let groups = device::batch_norm::Groups::new(&groups, &device()).unwrap();
            let (y, statistics) = device::batch_norm::batch_norm(tape, &maps[0], &layer, &groups).unwrap();
            seen.borrow_mut().1 = device::batch_norm::Seen::read(&[statistics]).unwrap();
            y
        },
        &maps,
        &parameters,
    );
    let apply = |tape: &mut _, operands: &[Operand]| {
        let (weight, bias) = (&operands[2].tensor, &operands[3].tensor);
        let layer = Layer { weight, bias, shortcut: Some(operands[1].value()), relu: true };
        let (y, statistics) = batch_norm(tape, operands[0].value(), &layer, &groups)?;
        seen.borrow_mut().0 = statistics;
        Ok(y)
    };
    let here = by_engine(&apply, &maps, &parameters, &shape);
    assert_alike(&there, &here, 1e-5, "BatchNorm");
    let (here, there) = seen.into_inner();
    assert_eq!(there[0].count, here.count);
    for group in 0..groups.len() {
        let close = |found: &[f32], expected: &[f32], what| {
            assert_close(&widen(found), &widen(expected), 1e-5, 0.0, &format!("{what} of group {group}"));
        };
        close(&there[0].mean[group], &here.mean[group], "mean");
        close(&there[0].variance[group], &here.variance[group], "variance");
    }
}

/// A step's faces: 5 labelled, 4 unlabelled.
fn batch(step: u32, side: usize) -> StepBatch {
    let view = |name: &str, count| random(&format!("{name}:{step}"), &[count, 3, side, side]);
    let first = view("u1", 4);
    let second = ((&first * 0.8).unwrap() + (view("u2", 4) * 0.2).unwrap()).unwrap();
    StepBatch {
        labelled: view("x", 5),
        labels: vec![0, 1, 2, 3, 0],
        soft: None,
        weak: vec![first, second],
        strong: vec![view("strong", 4)],
        unlabelled_ids: Vec::new(),
        progress: 0.0,
    }
}

/// Largest distance of two models' tensors ([`apart`]), and whose it is.
fn distance(found: &StateDict, expected: &StateDict) -> (f64, String) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let of = |(name, expected): (&String, &marginalia_trainer::state_dict::Array)| {
        assert_eq!(found[name].shape, expected.shape, "{name}");
        (apart(&found[name].values, &expected.values), name.clone())
    };
    expected.iter().map(of).fold((0.0, String::new()), |largest, next| if next.0 > largest.0 { next } else { largest })
}

/// Root mean square of the distance, as a share of that of `expected`.
fn apart(found: &[f32], expected: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let off = square(&mut found.iter().zip(expected).map(|(a, b)| f64::from(a - b)));
    (off / square(&mut expected.iter().map(|value| f64::from(*value))).max(1e-12)).sqrt()
}

/// Of losses, and of gradients as a share of their size, in the first step and the second. Rounding may put a value at
/// a ReLU on the other side of 0, and the first step of Adam has the size of the learning rate whatever the gradient.
const TOLERANCES: [(f64, f64); 2] = [(1e-5, 2e-3), (1e-3, 2e-2)];
/// Of everything a checkpoint keeps, after both, as a share of each tensor's size.
const AFTERWARDS: f64 = 5e-3;

/// Two whole steps, by the engine and on the device.
#[test]
fn steps_give_what_the_engine_gives() {
    for (backbone, width, preset) in
        [("resnet-tiny", 1.0, TrainerConfig::streaming()), ("resnet18", 0.25, TrainerConfig::released())]
    {
        let config = TrainerConfig { backbone: backbone.to_owned(), width, image_size: 48, ..preset };
        let architecture = Architecture::new(&config, 4).unwrap();
        let start = LearnerState::fresh(architecture.initial(&Streams::new(3, 1)));
        let backends = [Backend::Engine, Backend::Candle(device())];
        let [mut here, mut there] =
            backends.map(|backend| Learner::on(backend, &config, architecture, start.clone()).unwrap());
        assert_eq!(there.state().unwrap(), start, "weights change on their way to the device and back");
        let mut methods = [(); 2].map(|()| methods::build(&config, 4).unwrap());
        for step in 1..=2 {
            let given = batch(step, 48);
            let mut take = |learner: &mut Learner, method: usize| {
                let loss = learner.loss(methods[method].as_mut(), &given, Streams::new(1, 1), 1, step).unwrap();
                let gradients = learner.gradients(&loss).unwrap();
                let parameters = learner.student().parameters().iter();
                let numbers: Vec<(String, Vec<f32>)> = parameters
                    .map(|(name, parameter)| (name.clone(), gradients.of(parameter).unwrap().unwrap().into_owned()))
                    .collect();
                learner.update(&gradients).unwrap();
                (loss, numbers)
            };
            let ((expected, expected_gradients), (found, found_gradients)) = (take(&mut here, 0), take(&mut there, 1));
            let what = format!("{backbone}, step {step}");
            let (relative, of_gradient) = TOLERANCES[step as usize - 1];
            let total = |loss: &methods::Loss| value(&loss.total).unwrap();
            assert_close(&[total(&found)], &[total(&expected)], relative, 0.0, &what);
            for ((name, found), (_, expected)) in found.parts.iter().zip(&expected.parts) {
                assert_close(&[*found], &[*expected], relative, 1e-6, &format!("{what}: {name}"));
            }
            let [found, expected] = [found, expected].map(|loss| loss.split.unwrap());
            assert_eq!((found.pseudo_labels, found.subset_one), (expected.pseudo_labels, expected.subset_one));
            assert_eq!(found_gradients.len(), expected_gradients.len());
            for ((name, found), (_, expected)) in found_gradients.iter().zip(&expected_gradients) {
                let off = apart(found, expected);
                println!("{what}: gradient of {name} {off:e}");
                assert!(off < of_gradient, "{what}: gradient of {name} is off by {off:e} of its size");
            }
        }
        let [found, expected] = [&there, &here].map(|learner| learner.state().unwrap());
        assert_eq!((found.steps, found.batches), (expected.steps, expected.batches));
        for (found, expected, part) in [
            (&found.student, &expected.student, "student"),
            (&found.teacher, &expected.teacher, "teacher"),
            (&found.moments.first, &expected.moments.first, "first moments"),
            (&found.moments.second, &expected.moments.second, "second moments"),
        ] {
            let (off, name) = distance(found, expected);
            println!("{backbone}: {part}, `{name}` {off:e}");
            assert!(off < AFTERWARDS, "{backbone}: {part}, `{name}` is off by {off:e} of its size");
        }
    }
}

#[test]
fn scores_are_the_engines_after_a_training_on_small_and_on_large_images() {
    for image_size in [32, 112] {
        let folder = tempfile::tempdir().unwrap();
        let config = TrainerConfig { image_size, ..config() };
        let mut training = Training::new(config, classes(), 7, Start::Scratch).unwrap();
        training.run_epoch(&data(4), &Control::default(), &mut |_| {}).unwrap();
        training.save(folder.path()).unwrap();
        let faces: Vec<(String, Vec<u8>)> = (0..9).map(|n| (format!("id-{n}"), face(n % 3, n as u64))).collect();
        let expected = Scorer::load_with_threads(folder.path(), 2).unwrap().score(&faces).unwrap();
        let scorer = Scorer::load_on(Backend::Candle(device()), folder.path(), 2).unwrap();
        for (found, expected) in scorer.score(&faces).unwrap().iter().zip(&expected) {
            let (found, expected) = (found.as_ref().unwrap(), expected.as_ref().unwrap());
            let close = |found: &[f32], expected: &[f32], what: &str| {
                assert_close(&widen(found), &widen(expected), 0.0, 1e-5, &format!("{what} at {image_size}"));
            };
            close(&found.probabilities, &expected.probabilities, "probabilities");
            close(&found.feature, &expected.feature, "feature");
        }
    }
}

#[test]
fn parameters_without_a_gradient_are_left_alone_by_adam() {
    use marginalia_trainer::engine::adam::Update;
    use marginalia_trainer::engine::device::{optimiser::Optimiser, tape::Gradients};
    let parameters = [("a", 3), ("b", 2), ("c", 4)].map(|(name, count)| {
        let values = random(name, &[count]).to_device(&device()).unwrap();
        (name.to_owned(), candle_core::Var::from_tensor(&values).unwrap())
    });
    let parameters = parameters.into_iter().collect();
    let state = |name: &str| -> StateDict {
        [("a", 3), ("b", 2), ("c", 4)]
            .map(|(part, count)| (part.to_owned(), generated(&format!("{name} {part}"), 2, &[count], 0.5)))
            .into_iter()
            .collect()
    };
    let states = [state("first"), state("teacher"), state("teacher")];
    let mut optimiser = Optimiser::new(&parameters, states.each_ref(), &device()).unwrap();
    let before = values(&parameters["b"]);
    let update = Update { learning_rate: 0.1, step: 1, ema_decay: 0.5, student_factor: 0.5 };
    optimiser.update(&Gradients::default(), &update).unwrap();
    assert_eq!(optimiser.moments().unwrap(), [states[0].clone(), states[1].clone()]);
    let after = values(&parameters["b"]);
    assert_eq!(after, before.iter().map(|value| value * 0.5).collect::<Vec<_>>());
    let teacher = optimiser.teacher().unwrap();
    let expected: Vec<f64> = before.iter().zip(&states[2]["b"].values).map(|(a, b)| f64::from((a + b) / 2.0)).collect();
    assert_close(&widen(&teacher["b"].values), &expected, 1e-6, 1e-7, "teacher");
    assert!(optimiser.is_finite().unwrap());
}

#[test]
fn weights_that_are_not_finite_are_seen_on_the_device() {
    use marginalia_trainer::engine::device::optimiser::Optimiser;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 1023, 1024, 2500] {
            let mut numbers = vec![1f32; 2501];
            numbers[place] = bad;
            let variable = candle_core::Var::from_vec(numbers, 2501, &device()).unwrap();
            let parameters = [("w".to_owned(), variable)].into_iter().collect();
            let state: StateDict = [("w".to_owned(), generated("w", 1, &[2501], 1.0))].into_iter().collect();
            let optimiser = Optimiser::new(&parameters, [&state; 3], &device()).unwrap();
            assert!(!optimiser.is_finite().unwrap(), "{bad} at {place}");
        }
    }
}

#[test]
fn devices_are_named_in_one_way() {
    for name in ["", "gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "CPU", "cpu:0", "metal:0.5"] {
        match (TrainerConfig { device: name.to_owned(), ..TrainerConfig::streaming() }).validate() {
            Err(Error::Setting { key: "device", valid, .. }) => assert!(valid.contains("cuda:N"), "{valid}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    for name in ["cpu", "cuda:0", "cuda:12", "metal:0"] {
        TrainerConfig { device: name.to_owned(), ..TrainerConfig::streaming() }.validate().unwrap();
    }
    assert!(matches!(Backend::open("cpu"), Ok(Backend::Engine)));
}

#[test]
#[cfg(not(any(feature = "cuda", feature = "metal")))]
fn a_device_that_was_not_built_in_says_how_to_build_it_in() {
    for feature in ["cuda", "metal"] {
        let config = TrainerConfig { device: format!("{feature}:0"), ..config() };
        let error = Training::new(config, classes(), 1, Start::Scratch).err().unwrap().to_string();
        assert!(error.contains(&format!("--features {feature}")) && error.contains("cpu"), "{error}");
    }
}
