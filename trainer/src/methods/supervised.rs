//! Plain supervised training: cross-entropy on the labelled faces alone (Eq. 3). The baseline of every comparison.

use super::{Loss, Method, StepBatch, StepOutputs, Views, value};
use crate::config::TrainerConfig;
use crate::engine::cross_entropy::cross_entropy;
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
        let total = supervised_loss(&outputs.labelled, batch)?;
        let parts = vec![("supervised", value(&total)?)];
        Ok(Loss { total, parts, split: None })
    }

    fn margins(&self) -> Vec<f32> {
        self.margins.clone()
    }
}

/// Mean cross-entropy of the labelled faces against their targets.
pub(super) fn supervised_loss(labelled: &Outputs, batch: &StepBatch) -> Result<candle_core::Tensor> {
    let targets = batch.targets(labelled.logits.dim(1)?)?;
    Ok(cross_entropy(&labelled.logits, &targets)?.mean_all()?)
}
