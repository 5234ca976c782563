//! Trains on synthetic faces as a round does, loader and augmentation included, and says how long the steps waited for
//! their batches and whether memory grows:
//! `cargo run -p marginalia-trainer --example train [BACKBONE] [SIDE] [THREADS] [EPOCHS] [STEPS] [DEVICE]`.

use std::sync::Arc;

use marginalia_datasets::{Classes, SyntheticFaces};
use marginalia_trainer::{
    Control, FaceSource, LabelledFace, RoundData, Start, TrainerConfig, Training, UnlabelledFace,
};

/// The product's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const LABELLED: u64 = 700;
const UNLABELLED: u64 = 4000;

struct Images(Vec<Vec<u8>>);

impl FaceSource for Images {
    fn images(&self, indices: &[u64]) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        indices.iter().map(|&index| self.0.get(index as usize).cloned().ok_or_else(|| "no such image".into())).collect()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| arguments.get(place).map_or(Ok(default), |text| text.parse());
    let backbone = arguments.first().map_or("resnet-tiny", String::as_str).to_owned();
    let config = TrainerConfig {
        backbone,
        image_size: number(1, 48)?,
        device: arguments.get(5).map_or("cpu", String::as_str).to_owned(),
        threads: number(2, 0)?,
        epochs_per_round: number(3, 10)? as u32,
        steps_per_epoch: number(4, 200)? as u32,
        ..TrainerConfig::streaming()
    };
    let data = faces();
    let mut training = Training::new(config, Classes::standard(), 1, Start::Scratch)?;
    while !training.is_finished() {
        let report = training.run_epoch(&data, &Control::default(), &mut |_| {})?;
        println!(
            "step {:5}: {:.4} s per step, {:.1} % of it waiting for data; {:.1} % of the labelled faces right; memory {} MiB, \
             peak {} MiB",
            report.steps,
            1.0 / report.steps_per_second,
            100.0 * report.waiting_share(),
            100.0 * report.labelled_accuracy,
            memory("VmRSS:") / 1024,
            memory("VmHWM:") / 1024,
        );
    }
    Ok(())
}

fn faces() -> RoundData {
    let source = SyntheticFaces::new(1, 48, &Classes::standard());
    let images = (0..LABELLED + UNLABELLED).map(|number| source.face(number).png()).collect();
    let labelled = (0..LABELLED).map(|index| LabelledFace {
        face_id: index.to_string(),
        index,
        class: (index % 7) as usize,
        target: None,
        weight: 1.0,
    });
    let unlabelled = (LABELLED..LABELLED + UNLABELLED).map(|index| UnlabelledFace {
        face_id: index.to_string(),
        index,
        weight: 1.0,
    });
    RoundData {
        labelled: labelled.collect(),
        unlabelled: unlabelled.collect(),
        validation: Vec::new(),
        source: Arc::new(Images(images)),
    }
}

/// A size of this process in KiB, as Linux words it; 0 elsewhere.
fn memory(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}
