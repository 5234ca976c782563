//! Pseudo-Label (Lee, ICML 2013 workshop), with a threshold as in later comparisons.
//!
//! L = L_s + λ r(t) · 1/U Σ 1[max p_w ≥ τ] H(argmax p_w, p_w): a face that is predicted surely is taught its own
//! prediction, on the same weak view, which takes the gradient. r(t) grows from 0 to 1 over a round's first `ramp`.

use super::supervised::supervised_loss;
use super::{Loss, Method, Split, StepBatch, StepOutputs, Views, grown, mean_probabilities};
use crate::Result;
use crate::config::TrainerConfig;

/// Keeps no state; the pool is split by its threshold.
pub struct PseudoLabel {
    thresholds: Vec<f64>,
    ramp: f64,
    weight: f64,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    let thresholds = vec![config.threshold; classes];
    Box::new(PseudoLabel { thresholds, ramp: config.ramp, weight: config.weights.unlabelled })
}

impl Method for PseudoLabel {
    fn name(&self) -> &'static str {
        "pseudo-label"
    }

    fn views(&self) -> Views {
        Views { weak: 1, strong: 0 }
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        let split = Split::by(&mean_probabilities(&outputs.weak)?, &self.thresholds);
        let supervised = supervised_loss(&outputs.labelled, batch)?;
        let unlabelled = split.cross_entropy(&outputs.weak[0].logits)?;
        let weight = self.weight * grown(batch.progress, self.ramp);
        Loss::weighted(&[("supervised", supervised, 1.0), ("unlabelled", unlabelled, weight)], Some(split))
    }

    fn margins(&self) -> Vec<f32> {
        self.thresholds.iter().map(|&threshold| threshold as f32).collect()
    }
}
