//! Ada-CM: semi-supervised FER with an adaptive confidence margin (Li et al., CVPR 2022).
//!
//! Faces whose mean confidence over the weak views reaches their class's margin (subset I) teach the strong view their
//! pseudo-label (Eq. 4); the others (subset II) pull the features of their weak views together (InfoNCE). No face is
//! thrown away. The margins follow what the teacher knows of each class ([`crate::margin`]).
//!
//! Beyond the paper, each off by default: margins that move in every step (as its successor's do), mean predictions
//! aligned before the split ([`crate::alignment`]), and what subset II teaches besides ([`subset_two`]).

pub mod subset_two;

use candle_core::Tensor;
use serde_json::{Value, json};

use self::subset_two::{negative_loss, set_valued_loss};
use super::supervised::supervised_loss;
use super::{Loss, Method, Split, StepBatch, StepOutputs, Views, labelled_shares, mean_probabilities, restored};
use crate::Result;
use crate::alignment::Alignment;
use crate::config::{AdaCmConfig, MarginConfig, MarginUpdate, TrainerConfig, UnlabelledOver, Weights};
use crate::engine::info_nce::info_nce;
use crate::loader::RoundData;
use crate::margin::{AdaptiveMargin, ClassConfidence, softmax_rows};
use crate::network::Outputs;

/// The method and its margins.
pub struct AdaCm {
    views: Views,
    weights: Weights,
    temperature: f64,
    unlabelled_over: UnlabelledOver,
    options: AdaCmConfig,
    margin_config: MarginConfig,
    margin: AdaptiveMargin,
    /// Of margins that move in every step.
    momentum: f64,
    alignment: Alignment,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    Box::new(AdaCm {
        views: Views { weak: config.k_weak, strong: config.k_strong },
        weights: config.weights.clone(),
        temperature: config.contrastive_temperature,
        unlabelled_over: config.unlabelled_over,
        options: config.ada_cm.clone(),
        margin_config: config.margin.clone(),
        margin: AdaptiveMargin::new(&config.margin, classes),
        momentum: config.moving_average.momentum(config.steps_per_round()),
        alignment: Alignment::new(config.ada_cm.alignment, config, classes),
    })
}

impl Method for AdaCm {
    fn name(&self) -> &'static str {
        "ada-cm"
    }

    fn views(&self) -> Views {
        self.views
    }

    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss> {
        // Only maximum and argmax are detached; the views themselves keep their gradient for the contrastive term.
        let probabilities = self.alignment.align(&mean_probabilities(&outputs.weak)?);
        let split = Split::by(&probabilities, self.margin.margins());
        if self.margin_config.update == MarginUpdate::Step {
            self.observe(&outputs.labelled, &batch.labels)?;
        }
        // Eq. 5.
        let mut terms = vec![
            ("supervised", supervised_loss(&outputs.labelled, batch)?, self.weights.supervised),
            ("unlabelled", self.unlabelled_loss(&outputs.strong, &split)?, self.weights.unlabelled),
            ("contrastive", self.contrastive_loss(&outputs.weak, &split)?, self.weights.contrastive),
        ];
        if self.weights.set_valued > 0.0 {
            let (mass, size) = (self.options.set_mass, self.options.set_size);
            let loss = set_valued_loss(&outputs.strong, &probabilities, &split, mass, size)?;
            terms.push(("set_valued", loss, self.weights.set_valued));
        }
        if self.weights.negative > 0.0 {
            let loss = negative_loss(&outputs.strong, &probabilities, &split, self.options.negative_below)?;
            terms.push(("negative", loss, self.weights.negative));
        }
        Loss::weighted(&terms, Some(split))
    }

    fn begin_round(&mut self) {
        self.margin.begin_round();
    }

    fn begin_epoch(&mut self, data: &RoundData) {
        self.alignment.begin_epoch(labelled_shares(data, self.margin.margins().len()));
    }

    fn after_epoch(&mut self, measured: &ClassConfidence) {
        match self.margin_config.update {
            MarginUpdate::Epoch => self.margin.measure(measured.over(self.margin_config.faces)),
            MarginUpdate::Step => self.margin.end_epoch(),
        }
    }

    fn margins(&self) -> Vec<f32> {
        self.margin.margins().iter().map(|&margin| margin as f32).collect()
    }

    fn state(&self) -> Value {
        let mut state = json!({"t": self.margin.t(), "margins": self.margin.margins()});
        if !self.margin.running().is_empty() {
            state["running"] = json!(self.margin.running());
        }
        let mean = self.alignment.state();
        if !mean.is_null() {
            state["p_model"] = mean;
        }
        state
    }

    fn restore(&mut self, state: &Value) -> std::result::Result<(), String> {
        let classes = self.margin.margins().len();
        let margins: Vec<f64> = restored(state, "margins")?;
        let running: Option<Vec<Option<f64>>> = restored(state, "running")?;
        let running = running.unwrap_or_default();
        if margins.len() != classes || !(running.is_empty() || running.len() == classes) {
            return Err(format!("{} margins for {classes} classes", margins.len()));
        }
        self.alignment.restore(&state["p_model"], classes)?;
        let margin = AdaptiveMargin::restore(&self.margin_config, restored(state, "t")?, margins);
        self.margin = margin.with_running(running);
        Ok(())
    }
}

impl AdaCm {
    /// What the student says of this step's labelled faces moves the margins, from the next step on.
    fn observe(&mut self, labelled: &Outputs, labels: &[u32]) -> Result<()> {
        let labels: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
        let classes = self.margin.margins().len();
        let confidence = ClassConfidence::measure(&softmax_rows(&labelled.logits)?, &labels, classes);
        self.margin.observe(confidence.over(self.margin_config.faces), self.momentum);
        Ok(())
    }

    /// Eq. 4: cross-entropy of the strong views (their mean where there are several) against subset I's pseudo-labels.
    fn unlabelled_loss(&self, strong: &[Outputs], split: &Split) -> Result<Tensor> {
        let divisor = match self.unlabelled_over {
            UnlabelledOver::Batch => split.subset_one.len(),
            UnlabelledOver::Subset => split.accepted(),
        };
        let divisor = divisor.max(1) * strong.len().max(1);
        let mut total = Tensor::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu)?;
        for view in strong {
            total = (total + split.weighted_cross_entropy(&view.logits, &split.mask(), divisor)?)?;
        }
        Ok(total)
    }

    /// InfoNCE over the features of subset II.
    fn contrastive_loss(&self, weak: &[Outputs], split: &Split) -> Result<Tensor> {
        let unsure: Vec<u32> = (0u32..).zip(&split.subset_one).filter(|(_, one)| !**one).map(|(row, _)| row).collect();
        if unsure.len() <= 1 {
            return Ok(info_nce(&[], self.temperature)?);
        }
        let rows = Tensor::new(unsure.as_slice(), &candle_core::Device::Cpu)?;
        let of_view = |view: &Outputs| match self.options.weak_gradient {
            true => view.features.index_select(&rows, 0),
            false => view.features.detach().index_select(&rows, 0),
        };
        let features = weak.iter().map(of_view).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(info_nce(&features, self.temperature)?)
    }
}
