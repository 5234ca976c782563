//! FixMatch (Sohn et al., NeurIPS 2020).
//!
//! L = L_s + λ · 1/U Σ 1[max p_w ≥ τ] H(argmax p_w, p_s) (Eq. 4): a face that is predicted surely from its weak view
//! teaches its strong view that class. No gradient goes into the weak view.

use super::supervised::supervised_loss;
use super::{Loss, Method, Split, StepBatch, StepOutputs, Views, mean_probabilities};
use crate::Result;
use crate::config::TrainerConfig;

/// Keeps no state; the pool is split by its threshold.
pub struct FixMatch {
    thresholds: Vec<f64>,
    weight: f64,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    Box::new(FixMatch { thresholds: vec![config.threshold; classes], weight: config.weights.unlabelled })
}

impl Method for FixMatch {
    fn name(&self) -> &'static str {
        "fixmatch"
    }

    fn views(&self) -> Views {
        Views { weak: 1, strong: 1 }
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        let split = Split::by(&mean_probabilities(&outputs.weak)?, &self.thresholds);
        let supervised = supervised_loss(&outputs.labelled, batch)?;
        let unlabelled = split.cross_entropy(&outputs.strong[0].logits)?;
        Loss::weighted(&[("supervised", supervised, 1.0), ("unlabelled", unlabelled, self.weight)], Some(split))
    }

    fn margins(&self) -> Vec<f32> {
        self.thresholds.iter().map(|&threshold| threshold as f32).collect()
    }
}
