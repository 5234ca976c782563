//! MixMatch (Berthelot et al., NeurIPS 2019).
//!
//! Guess a label for every unlabelled face, q = sharpen(mean p over weak views, T) (Eq. 6, 7); put the labelled faces
//! and all weak views one behind the other and mix rows and targets in random pairs ([`crate::mixing`], Eq. 8 to 11);
//! L = mean H(mixed target, p) over the labelled rows + λ r(t) · mean (p − mixed target)² over the unlabelled rows and
//! the classes (Eq. 3 to 5). r(t) grows from 0 to 1 over the first `ramp` of a round. Guesses take no gradient, and
//! guessing moves no running statistics.

use candle_core::{D, Tensor};
use candle_nn::ops::log_softmax;

use super::{Loss, Method, StepBatch, StepOutputs, Views, grown, mean_probabilities};
use crate::Result;
use crate::config::TrainerConfig;
use crate::config::rivals::MixMatchConfig;
use crate::engine::cross_entropy::cross_entropy;
use crate::mixing::{sharpen, target_rows};
use crate::network::{Outputs, Pass};

/// Keeps nothing beyond a step; its margins for scoring are the initial ones.
pub struct MixMatch {
    settings: MixMatchConfig,
    weak: usize,
    ramp: f64,
    margins: Vec<f32>,
    targets: Vec<Tensor>,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    Box::new(MixMatch {
        settings: config.mixmatch.clone(),
        weak: config.k_weak,
        ramp: config.ramp,
        margins: vec![config.margin.initial as f32; classes],
        targets: Vec::new(),
    })
}

impl Method for MixMatch {
    fn name(&self) -> &'static str {
        "mixmatch"
    }

    fn views(&self) -> Views {
        Views { weak: self.weak, strong: 0 }
    }

    fn forward(&mut self, pass: &mut dyn Pass, batch: &StepBatch) -> Result<StepOutputs> {
        let weak: Vec<&Tensor> = batch.weak.iter().collect();
        let guesses = mean_probabilities(&pass.predict(&weak)?)?;
        let (outputs, targets) = mixed_pass(pass, batch, &guesses, &self.settings)?;
        self.targets = targets;
        Ok(outputs)
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        let (supervised, unlabelled) = mixed_losses(outputs, &self.targets)?;
        let weight = self.settings.weight * grown(batch.progress, self.ramp);
        Loss::weighted(&[("supervised", supervised, 1.0), ("unlabelled", unlabelled, weight)], None)
    }

    fn margins(&self) -> Vec<f32> {
        self.margins.clone()
    }
}

/// Sharpens the guesses (U, C), mixes labelled faces and weak views, and sends them through. Beside the outputs, the
/// mixed targets: those of the labelled rows, then of each weak view.
pub(super) fn mixed_pass(
    pass: &mut dyn Pass,
    batch: &StepBatch,
    guesses: &[Vec<f64>],
    settings: &MixMatchConfig,
) -> Result<(StepOutputs, Vec<Tensor>)> {
    let classes = guesses.first().map_or(0, Vec::len);
    let guessed = target_rows(&sharpen(guesses, settings.temperature))?;
    let views: Vec<&Tensor> = [&batch.labelled].into_iter().chain(&batch.weak).collect();
    let mut targets = vec![batch.targets(classes)?];
    targets.extend(batch.weak.iter().map(|_| guessed.clone()));
    let rows = batch.labels.len() + batch.weak.len() * guesses.len();
    let mixed = pass.mixing(settings.alpha, rows).mix(&views, &targets)?;
    let mut outputs = pass.forward(&mixed.views.iter().collect::<Vec<_>>())?;
    let weak = outputs.split_off(1);
    Ok((StepOutputs { labelled: outputs.remove(0), weak, strong: Vec::new() }, mixed.targets))
}

/// Cross-entropy of the labelled rows, and mean squared error of the unlabelled ones over rows and classes.
pub(super) fn mixed_losses(outputs: &StepOutputs, targets: &[Tensor]) -> Result<(Tensor, Tensor)> {
    let supervised = cross_entropy(&outputs.labelled.logits, &targets[0])?.mean_all()?;
    let logits = cat(&outputs.weak)?;
    let error = (log_softmax(&logits, D::Minus1)?.exp()? - Tensor::cat(&targets[1..], 0)?.detach())?;
    Ok((supervised, error.sqr()?.mean_all()?))
}

/// Logits of several views, one behind the other.
pub(super) fn cat(views: &[Outputs]) -> Result<Tensor> {
    Ok(Tensor::cat(&views.iter().map(|view| &view.logits).collect::<Vec<_>>(), 0)?)
}
