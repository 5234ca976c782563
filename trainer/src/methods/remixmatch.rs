//! ReMixMatch (Berthelot et al., ICLR 2020).
//!
//! q = sharpen(aligned p_w, T), aligned towards the target's class shares ([`crate::alignment`]). The labelled faces,
//! two strong views and the weak one, all three with target q, are mixed as in MixMatch; then
//! L = mean H over the labelled rows + r(t) (λ · mean H over the other mixed rows + λ₁ · mean H(q, p) of the first
//! strong view, not mixed) + λ_rot · mean H(number of quarter turns, head for them on that view, rotated) (sections 3.1
//! to 3.3). r(t) grows from 0 to 1 over the first `ramp` of a round. q takes no gradient. The views that are not mixed
//! leave running statistics alone: the teacher meets no rotated faces.

use candle_core::Tensor;
use serde_json::{Value, json};

use super::mixmatch::cat;
use super::{Loss, Method, StepBatch, StepOutputs, Views, grown, labelled_shares, mean_probabilities};
use crate::alignment::Alignment;
use crate::config::TrainerConfig;
use crate::config::rivals::ReMixMatchConfig;
use crate::engine::cross_entropy::{cross_entropy, one_hot};
use crate::engine::storage::{tensor, with_numbers};
use crate::loader::RoundData;
use crate::mixing::{sharpen, target_rows};
use crate::network::Pass;
use crate::{Error, Result};

/// Ways to turn a square by quarters.
const TURNS: usize = 4;

/// The method and its alignment; its margins for scoring are the initial ones.
pub struct ReMixMatch {
    settings: ReMixMatchConfig,
    margins: Vec<f32>,
    alignment: Alignment,
    step: Option<Step>,
}

/// What a step's loss needs beside the student's outputs.
struct Step {
    /// Of the rows in the order labelled, strong, strong, weak.
    mixed: Vec<Tensor>,
    /// q.
    guessed: Tensor,
    turns: Vec<u32>,
    turn_logits: Tensor,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    Box::new(ReMixMatch {
        settings: config.remixmatch.clone(),
        margins: vec![config.margin.initial as f32; classes],
        alignment: Alignment::new(config.remixmatch.alignment, config, classes),
        step: None,
    })
}

impl Method for ReMixMatch {
    fn name(&self) -> &'static str {
        "remixmatch"
    }

    fn views(&self) -> Views {
        Views { weak: 1, strong: 2 }
    }

    fn auxiliary(&self) -> usize {
        TURNS
    }

    /// The outputs' strong views are the two mixed ones and, last, the first one unmixed.
    fn forward(&mut self, pass: &mut dyn Pass, batch: &StepBatch) -> Result<StepOutputs> {
        let weak: Vec<&Tensor> = batch.weak.iter().collect();
        let probabilities = mean_probabilities(&pass.predict(&weak)?)?;
        let guesses = sharpen(&self.alignment.align(&probabilities), self.settings.temperature);
        let guessed = target_rows(&guesses)?;
        let views: Vec<&Tensor> = [&batch.labelled].into_iter().chain(&batch.strong).chain(&batch.weak).collect();
        let mut targets = vec![batch.targets(self.margins.len())?];
        targets.extend(views[1..].iter().map(|_| guessed.clone()));
        let rows = batch.labels.len() + (views.len() - 1) * guesses.len();
        let mixed = pass.mixing(self.settings.alpha, rows).mix(&views, &targets)?;
        let mut outputs = pass.forward(&mixed.views.iter().collect::<Vec<_>>())?.into_iter();

        let turns = pass.quarter_turns(guesses.len());
        let turned = turned(&batch.strong[0], &turns)?;
        let mut aside = pass.forward_aside(&[&batch.strong[0], &turned])?.into_iter();
        let (Some(labelled), Some(first), Some(second), Some(weak), Some(plain), Some(turned)) =
            (outputs.next(), outputs.next(), outputs.next(), outputs.next(), aside.next(), aside.next())
        else {
            return Err(candle_core::Error::Msg("the student returned too few outputs".to_owned()).into());
        };
        let turn_logits = pass.auxiliary(&turned.features)?;
        self.step = Some(Step { mixed: mixed.targets, guessed, turns, turn_logits });
        Ok(StepOutputs { labelled, weak: vec![weak], strong: vec![first, second, plain] })
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        let (Some(step), [first, second, plain]) = (self.step.take(), outputs.strong.as_slice()) else {
            return Err(Error::Tensor(candle_core::Error::Msg("a loss before its forward pass".to_owned())));
        };
        let unlabelled = [first.clone(), second.clone(), outputs.weak[0].clone()];
        let supervised = cross_entropy(&outputs.labelled.logits, &step.mixed[0])?.mean_all()?;
        let unlabelled = cross_entropy(&cat(&unlabelled)?, &Tensor::cat(&step.mixed[1..], 0)?)?.mean_all()?;
        let strong = cross_entropy(&plain.logits, &step.guessed)?.mean_all()?;
        let rotation = cross_entropy(&step.turn_logits, &one_hot(&step.turns, TURNS)?)?.mean_all()?;
        let grown = grown(batch.progress, self.settings.ramp);
        let terms = [
            ("supervised", supervised, 1.0),
            ("unlabelled", unlabelled, grown * self.settings.weight),
            ("strong", strong, grown * self.settings.strong_weight),
            ("rotation", rotation, self.settings.rotation_weight),
        ];
        Loss::weighted(&terms, None)
    }

    fn begin_epoch(&mut self, data: &RoundData) {
        self.alignment.begin_epoch(labelled_shares(data, self.margins.len()));
    }

    fn margins(&self) -> Vec<f32> {
        self.margins.clone()
    }

    fn state(&self) -> Value {
        json!({"p_model": self.alignment.state()})
    }

    fn restore(&mut self, state: &Value) -> std::result::Result<(), String> {
        self.alignment.restore(&state["p_model"], self.margins.len())
    }
}

/// Every image of (n, channels, S, S) turned by its number of quarters, against the clock.
fn turned(images: &Tensor, turns: &[u32]) -> Result<Tensor> {
    let (count, channels, side, _) = images.dims4()?;
    let pixels = with_numbers(images, |pixels| Ok(pixels.to_vec()))?;
    let mut result = Vec::with_capacity(count * channels * side * side);
    let planes = pixels.chunks_exact((side * side).max(1));
    for (place, plane) in planes.enumerate() {
        let last = side - 1;
        for y in 0..side {
            result.extend((0..side).map(|x| match turns[place / channels] {
                0 => plane[y * side + x],
                1 => plane[x * side + last - y],
                2 => plane[(last - y) * side + last - x],
                _ => plane[(last - x) * side + y],
            }));
        }
    }
    Ok(tensor(result, images.shape())?)
}
