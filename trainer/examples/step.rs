//! Measures Ada-CM's training step, by operator; `bench/peers/torch_step.py` is the other side:
//! `cargo run -p marginalia-trainer --example step [BACKBONE] [SIDE] [THREADS] [STEPS] [DEVICE]`.

use std::time::Instant;

use marginalia_trainer::TrainerConfig;
use marginalia_trainer::engine::timing;
use marginalia_trainer::learner::{Learner, LearnerState};
use marginalia_trainer::methods::{self, StepBatch};
use marginalia_trainer::network::Architecture;
use marginalia_trainer::streams::{Purpose, Streams};
use marginalia_trainer::views::pixels::Input;

/// The product's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const WARM_UP: u32 = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| arguments.get(place).map_or(Ok(default), |text| text.parse());
    let backbone = arguments.first().map_or("resnet18", String::as_str).to_owned();
    let (side, threads, steps) = (number(1, 48)?, number(2, 0)?, number(3, 20)?);
    let device = arguments.get(4).map_or("cpu", String::as_str).to_owned();
    let config = TrainerConfig { backbone, image_size: side, device, threads, ..TrainerConfig::streaming() };
    measure_steps(&config, steps as u32)?;
    println!("peak memory: {}", peak_memory());
    Ok(())
}

fn measure_steps(config: &TrainerConfig, steps: u32) -> Result<(), Box<dyn std::error::Error>> {
    let streams = Streams::new(1, 1);
    let architecture = Architecture::new(config, 7)?;
    let mut learner = Learner::new(config, architecture, LearnerState::fresh(architecture.initial(&streams)))?;
    let mut method = methods::build(config, 7)?;
    let side = config.image_size;
    let view = |item| {
        let mut stream = streams.stream(0, 0, Purpose::Method, item);
        let numbers = (0..16 * config.input_channels * side * side).map(|_| stream.uniform(-1.7, 1.7) as f32).collect();
        Input::new(config).tensor(numbers, 16)
    };
    let batch = StepBatch {
        labelled: view(0)?,
        labels: (0..16).map(|face| face % 7).collect(),
        soft: None,
        weak: vec![view(1)?, view(2)?],
        strong: vec![view(3)?],
        unlabelled_ids: Vec::new(),
        progress: 0.0,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(config.threads).stack_size(32 << 20).build()?;
    let mut times = Vec::new();
    let mut operators = Vec::new();
    for step in 1..=steps + WARM_UP {
        timing::take();
        let started = Instant::now();
        pool.install(|| learner.step(method.as_mut(), &batch, streams, 1, step))?;
        if step > WARM_UP {
            times.push(started.elapsed().as_secs_f64());
            operators.push(timing::take());
        }
    }
    let fastest = times.iter().copied().fold(f64::INFINITY, f64::min);
    println!("seconds per step: median {:.4}, fastest {fastest:.4}", median(times.clone()));
    let mut rest = median(times);
    for (place, (operator, _)) in operators[0].iter().enumerate() {
        let seconds = median(operators.iter().map(|step| step[place].1).collect());
        rest -= seconds;
        println!("  {operator:?}: {seconds:.4}");
    }
    println!("  everything else: {rest:.4}");
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Largest resident size so far, as Linux words it.
fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.trim().to_owned())
}
