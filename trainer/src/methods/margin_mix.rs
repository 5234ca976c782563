//! Margin-Mix (Florea et al., ECCV 2020): MixMatch whose guessed labels come from distances to class centres.
//!
//! A class's centre μ_c is the moving average of the unit-norm features of its labelled faces. An unlabelled face's
//! label is guessed as the mean over its weak views of softmax_c(−‖f − μ_c‖² / T_d), sharpened and mixed as in
//! MixMatch; beside its two terms stands L_m = mean over labelled faces, not mixed, of H(y, softmax_c(−(‖f − μ_c‖² + m
//! 1[c = y]) / T_d)), which asks for a margin m between classes in the embedding. Centres and guesses take no gradient;
//! a class without a centre yet is never guessed. The paper gives the idea; T_d, m and the weight of L_m are ours.

use candle_core::{D, Tensor};
use serde_json::{Value, json};

use super::mixmatch::{mixed_losses, mixed_pass};
use super::{Loss, Method, StepBatch, StepOutputs, Views, grown, mean_probabilities, restored};
use crate::alignment::{column_means, moved};
use crate::config::TrainerConfig;
use crate::config::rivals::{MarginMixConfig, MixMatchConfig};
use crate::engine::cross_entropy::{cross_entropy, one_hot};
use crate::engine::storage::tensor;
use crate::network::{Outputs, Pass};
use crate::{Error, Result};

/// Logit of a class without a centre: finite, so that 0 · it stays 0.
const NEVER: f32 = -1e9;

/// The method and the classes' centres; its margins for scoring are the initial ones.
pub struct MarginMix {
    mixing: MixMatchConfig,
    settings: MarginMixConfig,
    weak: usize,
    ramp: f64,
    momentum: f64,
    margins: Vec<f32>,
    /// μ_c; `None` before the first labelled face of the class.
    centres: Vec<Option<Vec<f64>>>,
    step: Option<Step>,
}

/// What a step's loss needs beside the student's outputs.
struct Step {
    targets: Vec<Tensor>,
    margin: Tensor,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    Box::new(MarginMix {
        mixing: config.mixmatch.clone(),
        settings: config.margin_mix.clone(),
        weak: config.k_weak,
        ramp: config.ramp,
        momentum: config.moving_average.momentum(config.steps_per_round()),
        margins: vec![config.margin.initial as f32; classes],
        centres: vec![None; classes],
        step: None,
    })
}

impl Method for MarginMix {
    fn name(&self) -> &'static str {
        "margin-mix"
    }

    fn views(&self) -> Views {
        Views { weak: self.weak, strong: 0 }
    }

    fn forward(&mut self, pass: &mut dyn Pass, batch: &StepBatch) -> Result<StepOutputs> {
        let Some(labelled) = pass.forward_aside(&[&batch.labelled])?.pop() else {
            return Err(Error::Tensor(candle_core::Error::Msg("the student returned too few outputs".to_owned())));
        };
        self.move_centres(&labelled.features, &batch.labels)?;
        let margin = self.margin_loss(&labelled.features, &batch.labels)?;
        let weak = pass.predict(&batch.weak.iter().collect::<Vec<_>>())?;
        let by_distance =
            |view: Outputs| Ok(Outputs { logits: self.logits(&view.features)?, features: view.features });
        let guesses = mean_probabilities(&weak.into_iter().map(by_distance).collect::<Result<Vec<_>>>()?)?;
        let (outputs, targets) = mixed_pass(pass, batch, &guesses, &self.mixing)?;
        self.step = Some(Step { targets, margin });
        Ok(outputs)
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        let Some(Step { targets, margin }) = self.step.take() else {
            return Err(Error::Tensor(candle_core::Error::Msg("a loss before its forward pass".to_owned())));
        };
        let (supervised, unlabelled) = mixed_losses(outputs, &targets)?;
        let weight = self.mixing.weight * grown(batch.progress, self.ramp);
        let terms = [
            ("supervised", supervised, 1.0),
            ("unlabelled", unlabelled, weight),
            ("margin", margin, self.settings.weight),
        ];
        Loss::weighted(&terms, None)
    }

    fn margins(&self) -> Vec<f32> {
        self.margins.clone()
    }

    fn state(&self) -> Value {
        json!({"centres": self.centres})
    }

    fn restore(&mut self, state: &Value) -> std::result::Result<(), String> {
        let centres: Vec<Option<Vec<f64>>> = restored(state, "centres")?;
        if centres.len() != self.centres.len() {
            return Err(format!("{} centres for {} classes", centres.len(), self.centres.len()));
        }
        self.centres = centres;
        Ok(())
    }
}

impl MarginMix {
    fn move_centres(&mut self, features: &Tensor, labels: &[u32]) -> Result<()> {
        let rows = features.detach().to_vec2::<f32>()?;
        for (class, centre) in self.centres.iter_mut().enumerate() {
            let of_class = rows.iter().zip(labels).filter(|(_, label)| **label as usize == class);
            let of_class: Vec<Vec<f64>> =
                of_class.map(|(row, _)| row.iter().map(|&value| f64::from(value)).collect()).collect();
            if !of_class.is_empty() {
                *centre = Some(moved(centre.take(), &column_means(&of_class), self.momentum));
            }
        }
        Ok(())
    }

    /// −‖f − μ_c‖² / T_d of features (n, D): (n, C).
    fn logits(&self, features: &Tensor) -> Result<Tensor> {
        let (size, classes) = (features.dim(1)?, self.centres.len());
        let numbers = self.centres.iter().flat_map(|centre| match centre {
            Some(centre) => centre.iter().map(|&value| value as f32).collect(),
            None => vec![0.0; size],
        });
        let centres = tensor(numbers.collect(), (1, classes, size))?;
        let distances = features.unsqueeze(1)?.broadcast_sub(&centres)?.sqr()?.sum(D::Minus1)?;
        let absent = self.centres.iter().map(|centre| if centre.is_some() { 0.0 } else { NEVER }).collect();
        Ok((distances / -self.settings.temperature)?.broadcast_add(&tensor(absent, (1, classes))?)?)
    }

    /// L_m.
    fn margin_loss(&self, features: &Tensor, labels: &[u32]) -> Result<Tensor> {
        let own = one_hot(labels, self.centres.len())?;
        let farther = (&own * (self.settings.margin / self.settings.temperature))?;
        Ok(cross_entropy(&(self.logits(features)? - farther)?, &own)?.mean_all()?)
    }
}
