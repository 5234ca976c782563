//! The registry of methods: how a step's views become a loss. A new method is one file and one line here.
//!
//! The loop is the same for all: load the views a method asks for, let it send them through the student, take its loss,
//! update, and after every epoch tell it how sure the teacher is of each class.

mod split;

use candle_core::{DType, Device, Tensor};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::split::Split;
use crate::config::{AlignmentTarget, TrainerConfig};
use crate::engine::cross_entropy::one_hot;
use crate::loader::RoundData;
use crate::margin::{ClassConfidence, softmax_rows};
use crate::network::{Outputs, Pass};
use crate::{Error, Result};

/// Views of every unlabelled face that a method needs in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Views {
    pub weak: usize,
    pub strong: usize,
}

impl Views {
    /// Whether unlabelled faces are used at all.
    pub fn any(&self) -> bool {
        self.weak + self.strong > 0
    }
}

/// The faces of one step.
#[derive(Clone, Debug)]
pub struct StepBatch {
    /// Weak view of the labelled faces (B, channels, S, S).
    pub labelled: Tensor,
    /// Their classes (B).
    pub labels: Vec<u32>,
    /// What they teach instead (B, C), where that is more than a class; see [`targets`](Self::targets).
    pub soft: Option<Tensor>,
    /// Weak views of the unlabelled faces, (U, channels, S, S) each.
    pub weak: Vec<Tensor>,
    /// Strong views of the unlabelled faces, (U, channels, S, S) each.
    pub strong: Vec<Tensor>,
    /// Ids of the unlabelled faces (U), for state kept per face.
    pub unlabelled_ids: Vec<String>,
    /// Share of the round that is done, in 0..1, for ramps.
    pub progress: f64,
}

impl StepBatch {
    /// What the labelled faces teach, a row of `classes` shares for each: their soft targets, or all on their class.
    pub fn targets(&self, classes: usize) -> Result<Tensor> {
        match &self.soft {
            Some(soft) => Ok(soft.clone()),
            None => Ok(one_hot(&self.labels, classes)?),
        }
    }
}

/// What the student said about one step's views.
#[derive(Clone, Debug)]
pub struct StepOutputs {
    /// The labelled faces' weak view.
    pub labelled: Outputs,
    /// Per weak view of the unlabelled faces.
    pub weak: Vec<Outputs>,
    /// Per strong view of the unlabelled faces.
    pub strong: Vec<Outputs>,
}

/// A step's loss.
#[derive(Debug)]
pub struct Loss {
    /// The scalar to be minimised.
    pub total: Tensor,
    /// Every term by name, unweighted.
    pub parts: Vec<(&'static str, f64)>,
    /// How the unlabelled faces were split; `None` for a method without pseudo-labels.
    pub split: Option<Split>,
}

impl Loss {
    /// The sum of terms (name, scalar, weight).
    pub fn weighted(terms: &[(&'static str, Tensor, f64)], split: Option<Split>) -> Result<Self> {
        let mut total = Tensor::zeros((), DType::F32, &Device::Cpu)?;
        let mut parts = Vec::with_capacity(terms.len());
        for (place, (name, term, weight)) in terms.iter().enumerate() {
            let weighted = (term * *weight)?;
            total = if place == 0 { weighted } else { (total + weighted)? };
            parts.push((*name, value(term)?));
        }
        Ok(Self { total, parts, split })
    }
}

/// A way to learn from labelled and unlabelled faces. It owns its per-class (or per-face) state.
pub trait Method: Send {
    /// Name in the configuration.
    fn name(&self) -> &'static str;

    /// Views it needs of every unlabelled face.
    fn views(&self) -> Views;

    /// Classes of a linear head on the feature that it trains beside the classes' own ([`Pass::auxiliary`]); 0 = none.
    fn auxiliary(&self) -> usize {
        0
    }

    /// Sends the step's views through the student. By default all at once in the order weak, labelled, strong; a method
    /// that mixes inputs asks the student twice and keeps its targets for `loss`.
    fn forward(&mut self, pass: &mut dyn Pass, batch: &StepBatch) -> Result<StepOutputs> {
        let views: Vec<&Tensor> = batch.weak.iter().chain([&batch.labelled]).chain(&batch.strong).collect();
        let mut outputs = pass.forward(&views)?.into_iter();
        let weak = outputs.by_ref().take(batch.weak.len()).collect();
        let Some(labelled) = outputs.next() else {
            return Err(candle_core::Error::Msg("the student returned too few outputs".to_owned()).into());
        };
        Ok(StepOutputs { labelled, weak, strong: outputs.collect() })
    }

    /// The loss of one step.
    fn loss(&mut self, outputs: &StepOutputs, batch: &StepBatch) -> Result<Loss>;

    /// Called at the start of every round, after `restore`.
    fn begin_round(&mut self) {}

    /// Called at the start of every epoch with its faces.
    fn begin_epoch(&mut self, _data: &RoundData) {}

    /// Called after every epoch with what the teacher knows of each class.
    fn after_epoch(&mut self, _measured: &ClassConfidence) {}

    /// The margin of every class by which the pool is split when it is scored.
    fn margins(&self) -> Vec<f32>;

    /// State to be kept in a checkpoint.
    fn state(&self) -> Value {
        Value::Null
    }

    /// Takes state back; the error is the problem in words.
    fn restore(&mut self, _state: &Value) -> std::result::Result<(), String> {
        Ok(())
    }
}

/// Builds a method for a configuration and a number of classes.
pub type Build = fn(&TrainerConfig, usize) -> Box<dyn Method>;

macro_rules! registry {
    ($($name:literal => $module:ident),* $(,)?) => {
        $(pub mod $module;)*
        /// Name and constructor of every method.
        pub const REGISTRY: &[(&str, Build)] = &[$(($name, $module::build)),*];
    };
}

registry![
    "ada-cm" => ada_cm,
    "fixmatch" => fixmatch,
    "flexmatch" => flexmatch,
    "freematch" => freematch,
    "margin-mix" => margin_mix,
    "mixmatch" => mixmatch,
    "pseudo-label" => pseudo_label,
    "remixmatch" => remixmatch,
    "softmatch" => softmatch,
    "supervised" => supervised,
    "uda" => uda,
];

/// Checks that a method of that name exists; returns its constructor.
pub fn known(name: &str) -> Result<Build> {
    REGISTRY.iter().find(|(known, _)| *known == name).map(|(_, build)| *build).ok_or_else(|| Error::UnknownMethod {
        name: name.to_owned(),
        known: REGISTRY.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
    })
}

/// The configured method, before any epoch.
///
/// # Errors
/// A name that is not known, or class shares to align to that are not one per class.
pub fn build(config: &TrainerConfig, classes: usize) -> Result<Box<dyn Method>> {
    let alignments = [config.ada_cm.alignment, config.remixmatch.alignment, config.softmatch.alignment];
    let shares = &config.alignment_shares;
    if alignments.contains(&AlignmentTarget::Shares) && shares.len() != classes {
        let valid = format!("{classes} shares, one per class, because an `alignment` is `shares`");
        return Err(Error::Setting { key: "alignment_shares", value: format!("{shares:?}"), valid });
    }
    Ok(known(&config.method)?(config, classes))
}

/// The classes' shares among labelled faces.
pub fn labelled_shares(data: &RoundData, classes: usize) -> Vec<f64> {
    let mut shares = vec![0.0; classes];
    for face in data.labelled.iter().filter(|face| face.class < classes) {
        shares[face.class] += 1.0 / data.labelled.len() as f64;
    }
    shares
}

/// How far an unlabelled term has grown: from 0 to 1 over the first `ramp` of the round; 1 where `ramp` is 0.
pub fn grown(progress: f64, ramp: f64) -> f64 {
    if ramp > 0.0 { (progress / ramp).min(1.0) } else { 1.0 }
}

/// A field of a method's state; the error is the problem in words.
pub fn restored<T: DeserializeOwned>(state: &Value, key: &str) -> std::result::Result<T, String> {
    serde_json::from_value(state[key].clone()).map_err(|error| format!("`{key}`: {error}"))
}

/// Mean over views of the softmax of their logits, (n, C) each: one row of probabilities per face, without gradient.
pub fn mean_probabilities(views: &[Outputs]) -> Result<Vec<Vec<f64>>> {
    let mut mean: Vec<Vec<f64>> = Vec::new();
    for view in views {
        let rows = softmax_rows(&view.logits)?;
        if mean.is_empty() {
            mean = rows.iter().map(|row| vec![0.0; row.len()]).collect();
        }
        for (mean, row) in mean.iter_mut().zip(&rows) {
            mean.iter_mut().zip(row).for_each(|(mean, probability)| *mean += probability / views.len() as f64);
        }
    }
    Ok(mean)
}

/// A scalar's value.
pub fn value(scalar: &Tensor) -> Result<f64> {
    Ok(f64::from(scalar.to_scalar::<f32>()?))
}
