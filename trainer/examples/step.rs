//! Measures the training step and scoring: `cargo run --example step_time [BACKBONE] [SIDE] [THREADS]`.

use std::time::Instant;

use marginalia_datasets::{Classes, SyntheticFaces};
use marginalia_trainer::learner::{Learner, LearnerState};
use marginalia_trainer::methods::{self, StepBatch};
use marginalia_trainer::network::Architecture;
use marginalia_trainer::streams::{Purpose, Streams};
use marginalia_trainer::{Scorer, Start, TrainerConfig, Training};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let backbone = arguments.first().map_or("resnet18", String::as_str).to_owned();
    let side: usize = arguments.get(1).map_or(Ok(48), |text| text.parse())?;
    let threads: usize = arguments.get(2).map_or(Ok(0), |text| text.parse())?;
    let config = TrainerConfig { backbone, image_size: side, threads, ..TrainerConfig::streaming() };
    let streams = Streams::new(1, 1);
    let architecture = Architecture::new(&config, 7)?;
    let mut learner = Learner::new(&config, architecture, LearnerState::fresh(architecture.initial(&streams)))?;
    let mut method = methods::build(&config, 7)?;
    let view = |item| {
        let mut stream = streams.stream(0, 0, Purpose::Method, item);
        let numbers = (0..16 * 3 * side * side).map(|_| stream.uniform(-1.7, 1.7) as f32).collect();
        marginalia_trainer::views::pixels::tensor(numbers, 16, side)
    };
    let batch = StepBatch {
        labelled: view(0)?,
        labels: (0..16).map(|face| face % 7).collect(),
        weak: vec![view(1)?, view(2)?],
        strong: vec![view(3)?],
        unlabelled_ids: Vec::new(),
        progress: 0.0,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(32 << 20).build()?;
    let mut times = Vec::new();
    for step in 1..=12 {
        let started = Instant::now();
        pool.install(|| learner.step(method.as_mut(), &batch, streams, 1, step))?;
        times.push(started.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    println!("seconds per step: best {:.3}, median {:.3}", times[0], times[times.len() / 2]);

    let folder = std::env::temp_dir().join(format!("marginalia-step-time-{}", std::process::id()));
    Training::new(config, Classes::standard(), 1, Start::Scratch)?.save(&folder)?;
    let scorer = Scorer::load_with_threads(&folder, threads)?;
    let source = SyntheticFaces::new(1, 48, &Classes::standard());
    let faces: Vec<(String, Vec<u8>)> = (0..512).map(|n| (n.to_string(), source.face(n).png())).collect();
    scorer.score(&faces[..128])?;
    let started = Instant::now();
    scorer.score(&faces)?;
    println!("faces scored per second (two weak views): {:.0}", 512.0 / started.elapsed().as_secs_f64());
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
