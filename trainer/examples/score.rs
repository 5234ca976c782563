//! Measures pool scoring, decoding and weak views included; `bench/peers/torch_score.py` is the other side:
//! `cargo run -p marginalia-trainer --example score [BACKBONE] [SIDE] [THREADS] [DEVICE] [FOLDER]`.
//!
//! FOLDER holds image files, in folders or not; without one, synthetic faces are scored as PNG.

use std::path::{Path, PathBuf};
use std::time::Instant;

use marginalia_datasets::{Classes, SyntheticFaces};
use marginalia_trainer::device::Backend;
use marginalia_trainer::{Scorer, Start, TrainerConfig, Training};

/// The product's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FACES: usize = 4096;
/// Faces given to the scorer at a time, as a round does.
const CHUNK: usize = 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize, default: usize| arguments.get(place).map_or(Ok(default), |text| text.parse());
    let backbone = arguments.first().map_or("resnet18", String::as_str).to_owned();
    let (side, threads) = (number(1, 48)?, number(2, 0)?);
    let device = Backend::open(arguments.get(3).map_or("cpu", String::as_str))?;
    let config = TrainerConfig { backbone: backbone.clone(), image_size: side, threads, ..TrainerConfig::streaming() };
    let checkpoint = std::env::temp_dir().join(format!("marginalia-score-{}", std::process::id()));
    Training::new(config, Classes::standard(), 1, Start::Scratch)?.save(&checkpoint)?;
    let scorer = Scorer::load_on(device, &checkpoint, threads)?;
    std::fs::remove_dir_all(&checkpoint)?;
    let files = match arguments.get(4) {
        Some(folder) => files(Path::new(folder))?,
        None => Vec::new(),
    };
    let source = SyntheticFaces::new(1, side as u32, &Classes::standard());
    let drawn =
        if files.is_empty() { (0..FACES as u64).map(|face| source.face(face).png()).collect() } else { Vec::new() };
    let read = |face: usize| -> std::io::Result<(String, Vec<u8>)> {
        let image = files.get(face).map_or_else(|| Ok(drawn[face].clone()), std::fs::read)?;
        Ok((face.to_string(), image))
    };
    let count = if files.is_empty() { drawn.len() } else { files.len().min(FACES) };
    scorer.score(&(0..CHUNK.min(count)).map(read).collect::<Result<Vec<_>, _>>()?)?;
    let started = Instant::now();
    let mut scored = 0;
    for first in (0..count).step_by(CHUNK) {
        let faces = (first..count.min(first + CHUNK)).map(read).collect::<Result<Vec<_>, _>>()?;
        scored += scorer.score(&faces)?.iter().flatten().count();
    }
    let rate = scored as f64 / started.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::json!({
            "backbone": backbone, "side": side, "threads": threads, "faces": scored, "images_per_second": rate.round(),
        })
    );
    Ok(())
}

/// Every file below `folder`, in order of name.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}
