//! `bench step`: one optimiser step of a method on synthetic faces, loader included.

use std::sync::Arc;

use marginalia_datasets::{Classes, SyntheticFaces};
use marginalia_trainer::{
    Control, FaceSource, LabelledFace, RoundData, Start, StepReport, TrainerConfig, Training, UnlabelledFace,
};
use serde_json::json;

use super::{median, resident_memory};
use crate::computing::on_computing_thread;
use crate::console::Console;
use crate::error::Result;

/// The step from which memory should not grow any more.
const SETTLED: u32 = 200;

/// Faces of either kind: several batches of any size in use.
const FACES: u64 = 256;

/// Arguments of `bench step`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Method
    #[arg(long, default_value = "ada-cm")]
    pub method: String,
    /// Backbone
    #[arg(long, default_value = "resnet18")]
    pub backbone: String,
    /// Side of the input, pixels
    #[arg(long, default_value_t = 48)]
    pub image_size: usize,
    /// Labelled faces in a step, and as many unlabelled ones
    #[arg(long, default_value_t = 16)]
    pub batch: usize,
    /// Steps to time, after three to warm up
    #[arg(long, default_value_t = 20)]
    pub steps: u32,
    /// Threads that compute; 0 = all cores
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// What computes: cpu, or cuda:N and metal:N in a build with that feature
    #[arg(long, default_value = "cpu")]
    pub device: String,
}

/// Synthetic faces in memory.
pub(super) struct Faces(pub Vec<Vec<u8>>);

impl Faces {
    pub(super) fn new(count: u64, side: u32, classes: &Classes) -> Self {
        let faces = SyntheticFaces::new(1, side, classes);
        Self((0..count).map(|i| faces.face(i).png()).collect())
    }
}

impl FaceSource for Faces {
    fn images(&self, indices: &[u64]) -> std::result::Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(indices.iter().map(|i| self.0[*i as usize % self.0.len()].clone()).collect())
    }
}

/// Runs `bench step`.
pub async fn run(args: &Args, console: &Console) -> Result<()> {
    let config = TrainerConfig {
        method: args.method.clone(),
        backbone: args.backbone.clone(),
        image_size: args.image_size,
        batch_labelled: args.batch,
        batch_unlabelled: args.batch,
        steps_per_epoch: args.steps + 3,
        epochs_per_round: 1,
        threads: args.threads,
        device: args.device.clone(),
        ..TrainerConfig::streaming()
    };
    let side = args.image_size as u32;
    let timed = on_computing_thread(move || time_steps(config, side)).await??;
    let middle = median(timed.seconds.iter().skip(3).copied().collect());
    let value = json!({
        "method": args.method,
        "backbone": args.backbone,
        "image_size": args.image_size,
        "batch": args.batch,
        "steps": args.steps,
        "seconds_per_step": middle,
        "waiting_share": timed.waiting_share,
        "resident_bytes": timed.resident.iter().map(|(step, bytes)| (step.to_string(), json!(bytes))).collect::<serde_json::Map<_, _>>(),
    });
    console.print(&value, |_| {
        format!(
            "{} on {} at {}²: {middle:.4} s a step (median of {}), {:.1} % of it waiting for images",
            args.method,
            args.backbone,
            args.image_size,
            args.steps,
            timed.waiting_share * 100.0
        )
    })
}

/// What the steps took.
struct Timed {
    seconds: Vec<f64>,
    /// Share of their time that they waited for their batches.
    waiting_share: f64,
    /// Resident memory, bytes, at step [`SETTLED`] and at the last.
    resident: Vec<(u32, u64)>,
}

fn time_steps(config: TrainerConfig, side: u32) -> Result<Timed> {
    let classes = Classes::standard();
    let source = Arc::new(Faces::new(2 * FACES, side, &classes));
    let face_id = |index: u64| format!("{index:064x}");
    let data = RoundData {
        labelled: (0..FACES)
            .map(|index| LabelledFace {
                face_id: face_id(index),
                index,
                class: index as usize % classes.len(),
                target: None,
                weight: 1.0,
            })
            .collect(),
        unlabelled: (FACES..2 * FACES)
            .map(|index| UnlabelledFace { face_id: face_id(index), index, weight: 1.0 })
            .collect(),
        validation: Vec::new(),
        source,
    };
    let mut training = Training::new(config, classes, 1, Start::Scratch)?;
    let (mut seconds, mut resident) = (Vec::new(), Vec::new());
    let mut observe = |step: StepReport| {
        seconds.push(step.seconds);
        if step.step == SETTLED || step.step == step.steps {
            resident.extend(resident_memory().map(|bytes| (step.step, bytes)));
        }
    };
    let report = training.run_epoch(&data, &Control::default(), &mut observe)?;
    Ok(Timed { seconds, waiting_share: report.waiting_share(), resident })
}
