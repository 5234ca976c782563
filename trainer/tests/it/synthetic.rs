//! Faces made in the test: coloured patterns that a small network learns in a few dozen steps.

use std::io::Cursor;
use std::sync::Arc;

use image::{ImageFormat, Rgb, RgbImage};
use marginalia_datasets::Classes;
use marginalia_trainer::streams::{Purpose, Stream, Streams};
use marginalia_trainer::{FaceSource, LabelledFace, RoundData, TrainerConfig, UnlabelledFace};

/// Images held in memory.
pub struct Images(pub Vec<Vec<u8>>);

impl FaceSource for Images {
    fn images(&self, indices: &[u64]) -> std::result::Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        indices.iter().map(|&index| self.0.get(index as usize).cloned().ok_or_else(|| "no such image".into())).collect()
    }
}

pub fn classes() -> Classes {
    Classes::new(["neutral", "happiness", "sadness"]).unwrap()
}

/// A noisy face of a class: a dark bar whose height tells the class, whichever way it is mirrored.
pub fn face(class: usize, number: u64) -> Vec<u8> {
    let mut stream: Stream = Streams::new(number, class as u32).stream(0, 0, Purpose::Method, 0);
    let (shade, shift) = (stream.uniform(140.0, 220.0), stream.uniform(-2.0, 2.0));
    let image = RgbImage::from_fn(32, 32, |x, y| {
        let middle = 8.0 + 8.0 * class as f64 + f64::from(x.abs_diff(16)) / 8.0;
        let dark = (f64::from(y) - middle - shift).abs() < 4.0;
        let value = if dark { shade / 4.0 } else { shade } + stream.uniform(-15.0, 15.0);
        Rgb([value.clamp(0.0, 255.0) as u8; 3])
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// `per_class` labelled, twice as many unlabelled and half as many validation faces of every class.
pub fn data(per_class: usize) -> RoundData {
    let mut images = Vec::new();
    let mut add = |class: usize| {
        images.push(face(class, images.len() as u64));
        (format!("face-{}", images.len() - 1), images.len() as u64 - 1)
    };
    let mut labelled_set = |count: usize| -> Vec<LabelledFace> {
        (0..count * 3)
            .map(|face| {
                let (face_id, index) = add(face % 3);
                LabelledFace { face_id, index, class: face % 3, target: None, weight: 1.0 }
            })
            .collect()
    };
    let (labelled, validation) = (labelled_set(per_class), labelled_set((per_class / 2).max(1)));
    let unlabelled = labelled_set(per_class * 2)
        .into_iter()
        .map(|face| UnlabelledFace { face_id: face.face_id, index: face.index, weight: 1.0 })
        .collect();
    RoundData { labelled, unlabelled, validation, source: Arc::new(Images(images)) }
}

/// A round that takes a moment: resnet-tiny at 32 pixels.
pub fn config() -> TrainerConfig {
    TrainerConfig {
        backbone: "resnet-tiny".to_owned(),
        image_size: 32,
        batch_labelled: 6,
        batch_unlabelled: 6,
        steps_per_epoch: 4,
        epochs_per_round: 3,
        width: 0.5,
        threads: 2,
        ..TrainerConfig::streaming()
    }
}
