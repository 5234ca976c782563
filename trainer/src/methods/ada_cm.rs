//! Ada-CM: semi-supervised FER with an adaptive confidence margin (Li et al., CVPR 2022).
//!
//! Faces whose mean confidence over the weak views reaches their class's margin (subset I) teach the strong view their
//! pseudo-label (Eq. 4); the others (subset II) pull the features of their weak views together (InfoNCE). No face is
//! thrown away. The margins follow what the teacher knows of each class ([`crate::margin`]).

use candle_core::Tensor;
use serde_json::{Value, json};

use super::supervised::supervised_loss;
use super::{Loss, Method, Split, StepBatch, StepOutputs, Views, mean_probabilities, value};
use crate::Result;
use crate::config::{MarginConfig, TrainerConfig, UnlabelledOver, Weights};
use crate::engine::cross_entropy::{cross_entropy, one_hot, weighted_mean};
use crate::engine::info_nce::info_nce;
use crate::margin::{AdaptiveMargin, ClassConfidence};
use crate::network::Outputs;

/// The method and its margins.
pub struct AdaCm {
    views: Views,
    weights: Weights,
    temperature: f64,
    unlabelled_over: UnlabelledOver,
    margin_config: MarginConfig,
    margin: AdaptiveMargin,
}

pub(super) fn build(config: &TrainerConfig, classes: usize) -> Box<dyn Method> {
    Box::new(AdaCm {
        views: Views { weak: config.k_weak, strong: config.k_strong },
        weights: config.weights.clone(),
        temperature: config.contrastive_temperature,
        unlabelled_over: config.unlabelled_over,
        margin_config: config.margin.clone(),
        margin: AdaptiveMargin::new(&config.margin, classes),
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
        let split = self.split(&outputs.weak)?;
        let supervised = supervised_loss(&outputs.labelled, &batch.labels)?;
        let unlabelled = self.unlabelled_loss(&outputs.strong, &split)?;
        let contrastive = self.contrastive_loss(&outputs.weak, &split)?;
        // Eq. 5.
        let total = ((&supervised * self.weights.supervised)?
            + (&unlabelled * self.weights.unlabelled)?
            + (&contrastive * self.weights.contrastive)?)?;
        let parts = vec![
            ("supervised", value(&supervised)?),
            ("unlabelled", value(&unlabelled)?),
            ("contrastive", value(&contrastive)?),
        ];
        Ok(Loss { total, parts, split: Some(split) })
    }

    fn begin_round(&mut self) {
        self.margin.begin_round();
    }

    fn after_epoch(&mut self, measured: &ClassConfidence) {
        self.margin.measure(&measured.mean);
    }

    fn margins(&self) -> Vec<f32> {
        self.margin.margins().iter().map(|&margin| margin as f32).collect()
    }

    fn state(&self) -> Value {
        json!({"t": self.margin.t(), "margins": self.margin.margins()})
    }

    fn restore(&mut self, state: &Value) -> std::result::Result<(), String> {
        let t = state["t"].as_u64().and_then(|t| u32::try_from(t).ok()).ok_or("`t` is not a number")?;
        let margins: Vec<f64> = serde_json::from_value(state["margins"].clone()).map_err(|error| error.to_string())?;
        if margins.len() != self.margin.margins().len() {
            return Err(format!("{} margins for {} classes", margins.len(), self.margin.margins().len()));
        }
        self.margin = AdaptiveMargin::restore(&self.margin_config, t, margins);
        Ok(())
    }
}

impl AdaCm {
    /// Mean prediction over the weak views against the margins. Only maximum and argmax are detached; the views
    /// themselves keep their gradient for the contrastive term.
    fn split(&self, weak: &[Outputs]) -> Result<Split> {
        let mut split = Split::default();
        for probabilities in mean_probabilities(weak)? {
            let place = self.margin.place(&probabilities);
            split.pseudo_labels.push(place.class as u32);
            split.confidences.push(place.confidence);
            split.subset_one.push(place.subset_one);
        }
        Ok(split)
    }

    /// Eq. 4: cross-entropy of the strong views (their mean where there are several) against subset I's pseudo-labels.
    fn unlabelled_loss(&self, strong: &[Outputs], split: &Split) -> Result<Tensor> {
        let mask: Vec<f32> = split.subset_one.iter().map(|&accepted| f32::from(u8::from(accepted))).collect();
        let divisor = match self.unlabelled_over {
            UnlabelledOver::Batch => mask.len(),
            UnlabelledOver::Subset => split.subset_one.iter().filter(|&&accepted| accepted).count(),
        };
        let divisor = divisor.max(1) as f64 * strong.len().max(1) as f64;
        let mut total = Tensor::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu)?;
        for view in strong {
            let targets = one_hot(&split.pseudo_labels, view.logits.dim(1)?)?;
            total = (total + weighted_mean(&cross_entropy(&view.logits, &targets)?, &mask, divisor)?)?;
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
        let features =
            weak.iter().map(|view| view.features.index_select(&rows, 0)).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(info_nce(&features, self.temperature)?)
    }
}
