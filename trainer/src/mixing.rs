//! Mixup (Zhang et al., ICLR 2018) in MixMatch's form: faces and their targets are blended in pairs.
//!
//! In: views and a target row per face. Out: as many views and targets, each row l · itself + (1 − l) · another one,
//! with l = max(λ, 1 − λ), λ ~ Beta(α, α), so that a mixed row stays nearer to the one in its place.

use candle_core::Tensor;

use crate::Result;
use crate::engine::storage::tensor;
use crate::streams::Stream;

/// How the rows of one step are mixed.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixing {
    share: f64,
    partners: Vec<u32>,
}

/// Mixed views (nᵢ, …) and their targets (nᵢ, C).
#[derive(Clone, Debug)]
pub struct Mixed {
    pub views: Vec<Tensor>,
    pub targets: Vec<Tensor>,
}

impl Mixing {
    /// From λ in 0..=1 and, for every row of all views one behind the other, the row it is mixed with.
    pub fn new(lambda: f64, partners: Vec<u32>) -> Self {
        Self { share: lambda.max(1.0 - lambda), partners }
    }

    /// Drawn: λ from Beta(α, α), partners in a random order.
    pub fn draw(alpha: f64, rows: usize, stream: &mut Stream) -> Self {
        let lambda = stream.beta(alpha);
        Self::new(lambda, stream.permutation(rows))
    }

    /// l: how much of a mixed row is the row in its place, in 0.5..=1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Mixes views (nᵢ, …) and their targets (nᵢ, C), over the borders of views.
    pub fn mix(&self, views: &[&Tensor], targets: &[Tensor]) -> Result<Mixed> {
        let sizes = views.iter().map(|view| view.dim(0)).collect::<candle_core::Result<Vec<usize>>>()?;
        let targets: Vec<&Tensor> = targets.iter().collect();
        Ok(Mixed { views: self.blend(views, &sizes)?, targets: self.blend(&targets, &sizes)? })
    }

    fn blend(&self, parts: &[&Tensor], sizes: &[usize]) -> Result<Vec<Tensor>> {
        let rows = Tensor::cat(parts, 0)?;
        let partners = rows.index_select(&Tensor::new(self.partners.as_slice(), rows.device())?, 0)?;
        let blended = ((rows * self.share)? + (partners * (1.0 - self.share))?)?;
        let mut start = 0;
        let mut part = |&size: &usize| {
            start += size;
            Ok(blended.narrow(0, start - size, size)?.contiguous()?)
        };
        sizes.iter().map(&mut part).collect()
    }
}

/// Rows p^(1/T), each divided by its sum (MixMatch, Eq. 7): nearer to one class where T < 1. Computed from logarithms,
/// so that no power of a small probability vanishes.
pub fn sharpen(probabilities: &[Vec<f64>], temperature: f64) -> Vec<Vec<f64>> {
    let sharpen = |row: &Vec<f64>| crate::calibration::scaled_softmax(&crate::calibration::logits_of(row), temperature);
    probabilities.iter().map(sharpen).collect()
}

/// Rows of numbers as a tensor (n, C) without history.
pub fn target_rows(rows: &[Vec<f64>]) -> Result<Tensor> {
    let classes = rows.first().map_or(0, Vec::len);
    Ok(tensor(rows.iter().flatten().map(|&value| value as f32).collect(), (rows.len(), classes))?)
}
