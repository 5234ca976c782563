//! SoftMatch (Chen et al., ICLR 2023): every face teaches, the less the less sure it is.
//!
//! a = max of p_w aligned ([`crate::alignment`]); μ and σ² moving averages of a's mean and unbiased variance,
//! updated before use; g = exp(−n² min(a − μ, 0)² / (2 σ²)) (n = `sigmas`);
//! L = L_s + λ · 1/U Σ g H(argmax p_w, p_s). The pseudo-label is of the prediction that is not aligned; neither it nor
//! g takes a gradient.
//!
//! A face counts as accepted where its weight is 1, from μ on; so μ, for all classes, also splits the pool.

use serde_json::{Value, json};

use super::supervised::supervised_loss;
use super::{Loss, Method, Split, StepBatch, StepOutputs, Views, labelled_shares, mean_probabilities, restored};
use crate::Result;
use crate::alignment::Alignment;
use crate::config::TrainerConfig;
use crate::loader::RoundData;
use crate::margin::largest;

/// The method, its averages and its alignment.
pub struct SoftMatch {
    classes: usize,
    sigmas: f64,
    weight: f64,
    momentum: f64,
    /// μ.
    mean: f64,
    /// σ².
    variance: f64,
    alignment: Alignment,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    Box::new(SoftMatch {
        classes,
        sigmas: config.softmatch.sigmas,
        weight: config.weights.unlabelled,
        momentum: config.moving_average.momentum(config.steps_per_round()),
        mean: 1.0 / classes as f64,
        variance: 1.0,
        alignment: Alignment::new(config.softmatch.alignment, config, classes),
    })
}

impl Method for SoftMatch {
    fn name(&self) -> &'static str {
        "softmatch"
    }

    fn views(&self) -> Views {
        Views { weak: 1, strong: 1 }
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        let probabilities = mean_probabilities(&outputs.weak)?;
        let confidences: Vec<f64> = self.alignment.align(&probabilities).iter().map(|row| largest(row).1).collect();
        self.observe(&confidences);
        let weights: Vec<f32> = confidences.iter().map(|&confidence| self.weight_of(confidence) as f32).collect();
        let split = Split {
            pseudo_labels: probabilities.iter().map(|row| largest(row).0 as u32).collect(),
            subset_one: confidences.iter().map(|&confidence| confidence >= self.mean).collect(),
            confidences,
        };
        let supervised = supervised_loss(&outputs.labelled, batch)?;
        let unlabelled = split.weighted_cross_entropy(&outputs.strong[0].logits, &weights, weights.len())?;
        Loss::weighted(&[("supervised", supervised, 1.0), ("unlabelled", unlabelled, self.weight)], Some(split))
    }

    fn begin_epoch(&mut self, data: &RoundData) {
        self.alignment.begin_epoch(labelled_shares(data, self.classes));
    }

    fn margins(&self) -> Vec<f32> {
        vec![self.mean as f32; self.classes]
    }

    fn state(&self) -> Value {
        json!({"mean": self.mean, "variance": self.variance, "p_model": self.alignment.state()})
    }

    fn restore(&mut self, state: &Value) -> std::result::Result<(), String> {
        (self.mean, self.variance) = (restored(state, "mean")?, restored(state, "variance")?);
        self.alignment.restore(&state["p_model"], self.classes)
    }
}

impl SoftMatch {
    /// Moves μ and σ² by one batch; one face alone has no variance.
    fn observe(&mut self, confidences: &[f64]) {
        let count = confidences.len() as f64;
        let mean = confidences.iter().sum::<f64>() / count.max(1.0);
        let moved = |old: f64, new: f64| self.momentum * old + (1.0 - self.momentum) * new;
        self.mean = moved(self.mean, mean);
        if count > 1.0 {
            let squares: f64 = confidences.iter().map(|confidence| (confidence - mean).powi(2)).sum();
            self.variance = moved(self.variance, squares / (count - 1.0));
        }
    }

    /// g of a confidence.
    fn weight_of(&self, confidence: f64) -> f64 {
        let below = (confidence - self.mean).min(0.0);
        if below == 0.0 {
            return 1.0;
        }
        (-self.sigmas.powi(2) * below.powi(2) / (2.0 * self.variance)).exp()
    }
}
