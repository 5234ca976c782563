//! The split of unlabelled faces into those whose pseudo-label is believed and the others.

use candle_core::Tensor;

use crate::Result;
use crate::engine::cross_entropy::{cross_entropy, one_hot, weighted_mean};
use crate::margin::place;

/// How one unlabelled batch was split.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Split {
    /// Pseudo-label of every face (U).
    pub pseudo_labels: Vec<u32>,
    /// Confidence of every pseudo-label (U).
    pub confidences: Vec<f64>,
    /// Whether it was accepted (subset I).
    pub subset_one: Vec<bool>,
}

impl Split {
    /// By the class that each row of probabilities (U, C) makes most probable, against that class's threshold.
    pub fn by(probabilities: &[Vec<f64>], thresholds: &[f64]) -> Self {
        let mut split = Self::default();
        for row in probabilities {
            let place = place(row, thresholds);
            split.pseudo_labels.push(place.class as u32);
            split.confidences.push(place.confidence);
            split.subset_one.push(place.subset_one);
        }
        split
    }

    /// Accepted faces.
    pub fn accepted(&self) -> usize {
        self.subset_one.iter().filter(|&&accepted| accepted).count()
    }

    /// 1 for every accepted face, 0 for the others.
    pub fn mask(&self) -> Vec<f32> {
        self.subset_one.iter().map(|&accepted| f32::from(u8::from(accepted))).collect()
    }

    /// Σ H(pseudo-label, softmax(logits)) over accepted faces, divided by the whole batch; logits (U, C).
    pub fn cross_entropy(&self, logits: &Tensor) -> Result<Tensor> {
        self.weighted_cross_entropy(logits, &self.mask(), self.subset_one.len())
    }

    /// Σ weight · H(pseudo-label, softmax(logits)) / divisor. Neither pseudo-labels nor weights take a gradient.
    pub fn weighted_cross_entropy(&self, logits: &Tensor, weights: &[f32], divisor: usize) -> Result<Tensor> {
        let targets = one_hot(&self.pseudo_labels, logits.dim(1)?)?;
        Ok(weighted_mean(&cross_entropy(logits, &targets)?, weights, divisor.max(1) as f64)?)
    }
}
