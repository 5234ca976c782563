//! Generated faces among the unlabelled ones: the outlook of the report.
//!
//! In: a source of real faces. Out: one that has drawn faces too, at indices of their own, made when they are asked for.

use std::sync::Arc;

use marginalia_datasets::{Classes, SyntheticFaces};
use marginalia_trainer::{FaceSource, UnlabelledFace};

/// From here on indices are numbers of generated faces; no table has so many rows.
const FIRST: u64 = 1 << 62;

/// Real faces, and generated ones.
pub(super) struct WithGenerated {
    real: Arc<dyn FaceSource>,
    generated: SyntheticFaces,
}

impl WithGenerated {
    /// Side of a generated face, pixels: FER2013's.
    const SIDE: u32 = 48;

    /// Added to a run's seed: drawn data sets begin with other ones, and hold none of these faces.
    const APART: u64 = 2_000_003;

    pub fn new(real: Arc<dyn FaceSource>, seed: u64, classes: &Classes) -> Self {
        Self { real, generated: SyntheticFaces::new(seed.wrapping_add(Self::APART), Self::SIDE, classes) }
    }

    /// Generated face number `number` as one of U.
    pub fn face(number: u64) -> UnlabelledFace {
        UnlabelledFace { face_id: format!("generated-{number}"), index: FIRST + number, weight: 1.0 }
    }
}

impl FaceSource for WithGenerated {
    fn images(&self, indices: &[u64]) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        let real: Vec<u64> = indices.iter().copied().filter(|index| *index < FIRST).collect();
        let mut images = if real.is_empty() { Vec::new() } else { self.real.images(&real)? }.into_iter();
        let image = |index: &u64| match index.checked_sub(FIRST) {
            Some(number) => Some(self.generated.face(number).png()),
            None => images.next(),
        };
        indices.iter().map(image).collect::<Option<_>>().ok_or_else(|| "the source gave too few images".into())
    }
}
