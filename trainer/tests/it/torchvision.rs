//! A checkpoint in torchvision itself, which must give the same logits. `MARGINALIA_TORCH_PYTHON` names a Python that
//! has torch, torchvision, safetensors, numpy and pillow (`make` takes that of `make bench`); without it there is
//! nothing to compare with.

use std::path::{Path, PathBuf};
use std::process::Command;

use marginalia_datasets::Classes;
use marginalia_trainer::{Control, Scorer, Start, TrainerConfig, Training};
use serde_json::Value;

use crate::reference::rows;
use crate::synthetic::{data, face};

/// Largest difference of a logit.
const TOLERANCE: f64 = 1e-3;

#[test]
fn torchvision_gives_the_same_logits() {
    let Some(python) = std::env::var_os("MARGINALIA_TORCH_PYTHON").filter(|python| !python.is_empty()) else {
        eprintln!("SKIPPED (MARGINALIA_TORCH_PYTHON names no Python): torchvision_gives_the_same_logits");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let config = TrainerConfig {
        backbone: "resnet18".to_owned(),
        // As large as the faces: two resizers may round a pixel differently.
        image_size: 32,
        batch_labelled: 8,
        batch_unlabelled: 8,
        steps_per_epoch: 6,
        ..TrainerConfig::streaming()
    };
    let mut training = Training::new(config, Classes::default(), 1, Start::Scratch).unwrap();
    training.run_epoch(&data(8), &Control::default(), &mut |_| {}).unwrap();
    training.save(folder.path()).unwrap();

    let images: Vec<Vec<u8>> = (0..64).map(|number| face(number % 3, 1000 + number as u64)).collect();
    let paths: Vec<PathBuf> = (0..images.len()).map(|number| folder.path().join(format!("{number}.png"))).collect();
    paths.iter().zip(&images).for_each(|(path, image)| std::fs::write(path, image).unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/peers/torchvision_load.py");
    let output = Command::new(python).arg(script).arg(folder.path()).args(&paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();

    let ours = Scorer::load(folder.path()).unwrap().predict_with_logits(&images).unwrap();
    let mut largest: f64 = 0.0;
    for (ours, theirs) in ours.iter().zip(rows(&theirs["logits"])) {
        for (ours, theirs) in ours.as_ref().unwrap().1.iter().zip(theirs) {
            largest = largest.max((f64::from(*ours) - theirs).abs());
        }
    }
    eprintln!("largest difference of a logit over {} faces: {largest:e} ({})", images.len(), theirs["versions"]);
    assert!(largest <= TOLERANCE, "{largest}");
}
