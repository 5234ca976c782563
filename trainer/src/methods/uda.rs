//! Unsupervised data augmentation (Xie et al., NeurIPS 2020).
//!
//! L = L_s + λ · 1/U Σ 1[max p_w ≥ τ] H(softmax(z_w / T), p_s): as FixMatch, but the strong view is taught the
//! sharpened prediction itself. The mask reads the plain prediction. With annealing, labelled faces more confident than
//! a bound that rises over the round are left out of L_s, whose mean still runs over the whole batch:
//! η = s(t) (1 − 1/C) + 1/C, s = t (linear), e^(5 (t − 1)) (exp), 1 − e^(−5 t) (log), t = share of the round.

use super::supervised::supervised_loss;
use super::{Loss, Method, Split, StepBatch, StepOutputs, Views, mean_probabilities};
use crate::Result;
use crate::config::TrainerConfig;
use crate::config::rivals::{Annealing, UdaConfig};
use crate::engine::cross_entropy::{cross_entropy, weighted_mean};
use crate::margin::{largest, softmax_rows};
use crate::mixing::{sharpen, target_rows};
use crate::network::Outputs;

/// Keeps no state; the pool is split by its threshold.
pub struct Uda {
    thresholds: Vec<f64>,
    settings: UdaConfig,
    weight: f64,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    let thresholds = vec![config.uda.threshold; classes];
    Box::new(Uda { thresholds, settings: config.uda.clone(), weight: config.weights.unlabelled })
}

impl Method for Uda {
    fn name(&self) -> &'static str {
        "uda"
    }

    fn views(&self) -> Views {
        Views { weak: 1, strong: 1 }
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        let probabilities = mean_probabilities(&outputs.weak)?;
        let split = Split::by(&probabilities, &self.thresholds);
        // p^(1/T), normalised, is softmax(z / T).
        let targets = target_rows(&sharpen(&probabilities, self.settings.temperature))?;
        let rows = cross_entropy(&outputs.strong[0].logits, &targets)?;
        let unlabelled = weighted_mean(&rows, &split.mask(), split.subset_one.len() as f64)?;
        let supervised = match bound(self.settings.annealing, batch.progress, self.thresholds.len()) {
            Some(bound) => annealed_loss(&outputs.labelled, batch, bound)?,
            None => supervised_loss(&outputs.labelled, batch)?,
        };
        Loss::weighted(&[("supervised", supervised, 1.0), ("unlabelled", unlabelled, self.weight)], Some(split))
    }

    fn margins(&self) -> Vec<f32> {
        self.thresholds.iter().map(|&threshold| threshold as f32).collect()
    }
}

/// η: the highest confidence of a labelled face that still teaches, when `progress` (0..=1) of the round is done.
pub fn bound(annealing: Annealing, progress: f64, classes: usize) -> Option<f64> {
    let share = match annealing {
        Annealing::Off => return None,
        Annealing::Linear => progress,
        Annealing::Exp => (5.0 * (progress - 1.0)).exp(),
        Annealing::Log => 1.0 - (-5.0 * progress).exp(),
    };
    let chance = 1.0 / classes as f64;
    Some(share * (1.0 - chance) + chance)
}

/// Cross-entropy of the faces no more confident than `bound`, divided by the whole batch.
fn annealed_loss(labelled: &Outputs, batch: &StepBatch, bound: f64) -> Result<candle_core::Tensor> {
    let kept = |row: &Vec<f64>| if largest(row).1 > bound { 0.0 } else { 1.0 };
    let weights: Vec<f32> = softmax_rows(&labelled.logits)?.iter().map(kept).collect();
    let rows = cross_entropy(&labelled.logits, &batch.targets(labelled.logits.dim(1)?)?)?;
    Ok(weighted_mean(&rows, &weights, weights.len() as f64)?)
}
