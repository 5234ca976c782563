//! Plain supervised training: cross-entropy on the labelled faces alone (Eq. 3). The baseline of every comparison.

use super::{Loss, Method, StepBatch, StepOutputs, Views, value};
use crate::config::TrainerConfig;
use crate::engine::cross_entropy::{cross_entropy, one_hot};
use crate::{Result, network::Outputs};

/// Keeps no state; its margins for scoring are the initial ones.
pub struct Supervised {
    margins: Vec<f32>,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    Box::new(Supervised { margins: vec![config.margin.initial as f32; classes] })
}

impl Method for Supervised {
    fn name(&self) -> &'static str {
        "supervised"
    }

    fn views(&self) -> Views {
        Views { weak: 0, strong: 0 }
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        let total = supervised_loss(&outputs.labelled, &batch.labels)?;
        let parts = vec![("supervised", value(&total)?)];
        Ok(Loss { total, parts, split: None })
    }

    fn margins(&self) -> Vec<f32> {
        self.margins.clone()
    }
}

/// Mean cross-entropy against hard labels.
pub(super) fn supervised_loss(outputs: &Outputs, labels: &[u32]) -> Result<candle_core::Tensor> {
    let targets = one_hot(labels, outputs.logits.dim(1)?)?;
    Ok(cross_entropy(&outputs.logits, &targets)?.mean_all()?)
}
