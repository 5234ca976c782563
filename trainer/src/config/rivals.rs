//! Settings of the methods beside Ada-CM. Defaults are those of the papers, or of the USB benchmark where it differs.

use serde::{Deserialize, Serialize};

use super::{at_least_zero, check, positive, probability};
use crate::Result;

/// What predictions on unlabelled faces are aligned to on average ([`crate::alignment`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlignmentTarget {
    /// Nothing: predictions stay as they are.
    None,
    /// Every class equally often. Wrong where the stream prefers some.
    Uniform,
    /// The classes' shares among the labelled faces. Wrong where those were chosen to be balanced, unlike the stream.
    Labelled,
    /// The shares that `alignment_shares` lists.
    Shares,
}

/// Moving averages that methods keep over steps (thresholds, mean predictions, class centres).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovingAverageConfig {
    /// Share of the old value that stays in each step, 0 or more and below 1.
    pub momentum: f64,
    /// The average forgets at least so many times in a round: momentum is at most 1 − this / steps of the round. 0 = as
    /// given. 0.999 remembers 1,000 steps, longer than a short round.
    pub spans_per_round: f64,
}

impl MovingAverageConfig {
    /// The momentum for rounds of so many steps.
    pub fn momentum(&self, steps: u64) -> f64 {
        self.momentum.min(1.0 - self.spans_per_round / steps.max(1) as f64).max(0.0)
    }

    pub(super) fn validate(&self) -> Result<()> {
        let momentum = self.momentum;
        check("moving_average.momentum", momentum, (0.0..1.0).contains(&momentum), "0 or more, below 1")?;
        at_least_zero("moving_average.spans_per_round", self.spans_per_round)
    }
}

/// How UDA leaves out labelled faces that are learnt already (training signal annealing): the bound on their confidence
/// over the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Annealing {
    /// No bound.
    Off,
    /// Grows evenly.
    Linear,
    /// Grows late.
    Exp,
    /// Grows early.
    Log,
}

/// UDA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdaConfig {
    /// Confidence from which a face teaches its strong view, in 0..=1.
    pub threshold: f64,
    /// Temperature that sharpens the weak view's prediction, above 0; 1 = as predicted.
    pub temperature: f64,
    /// Which labelled faces are left out.
    pub annealing: Annealing,
}

impl Default for UdaConfig {
    fn default() -> Self {
        Self { threshold: 0.8, temperature: 0.4, annealing: Annealing::Off }
    }
}

impl UdaConfig {
    pub(super) fn validate(&self) -> Result<()> {
        probability("uda.threshold", self.threshold)?;
        positive("uda.temperature", self.temperature)
    }
}

/// MixMatch, and what Margin-Mix has of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixMatchConfig {
    /// Temperature that sharpens guessed labels, above 0.
    pub temperature: f64,
    /// α of the Beta distribution that mixing shares come from, in 0.05..=10.
    pub alpha: f64,
    /// λ of the squared error on unlabelled rows, 0 or more.
    pub weight: f64,
}

impl Default for MixMatchConfig {
    fn default() -> Self {
        Self { temperature: 0.5, alpha: 0.5, weight: 100.0 }
    }
}

impl MixMatchConfig {
    pub(super) fn validate(&self) -> Result<()> {
        positive("mixmatch.temperature", self.temperature)?;
        alpha("mixmatch.alpha", self.alpha)?;
        at_least_zero("mixmatch.weight", self.weight)
    }
}

/// Margin-Mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarginMixConfig {
    /// Temperature of squared distances (0 to 4) to class centres, above 0.
    pub temperature: f64,
    /// So much nearer than to any other must a labelled face be to its own centre, in 0..=4.
    pub margin: f64,
    /// λ of the loss that asks for it, 0 or more.
    pub weight: f64,
}

impl Default for MarginMixConfig {
    fn default() -> Self {
        Self { temperature: 0.1, margin: 0.2, weight: 0.1 }
    }
}

impl MarginMixConfig {
    pub(super) fn validate(&self) -> Result<()> {
        positive("margin_mix.temperature", self.temperature)?;
        check("margin_mix.margin", self.margin, (0.0..=4.0).contains(&self.margin), "0 to 4")?;
        at_least_zero("margin_mix.weight", self.weight)
    }
}

/// ReMixMatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReMixMatchConfig {
    /// Temperature that sharpens guessed labels, above 0.
    pub temperature: f64,
    /// α of the Beta distribution that mixing shares come from, in 0.05..=10.
    pub alpha: f64,
    /// λ of the cross-entropy on unlabelled rows, 0 or more.
    pub weight: f64,
    /// λ of the cross-entropy on a strong view that is not mixed, 0 or more.
    pub strong_weight: f64,
    /// λ of telling by how many quarter turns a face was rotated, 0 or more.
    pub rotation_weight: f64,
    /// Share of the round over which the unlabelled terms grow from 0, in 0..=1; 0 = at once.
    pub ramp: f64,
    /// What guessed labels are aligned to.
    pub alignment: AlignmentTarget,
}

impl Default for ReMixMatchConfig {
    fn default() -> Self {
        Self {
            temperature: 0.5,
            alpha: 0.75,
            weight: 1.5,
            strong_weight: 0.5,
            rotation_weight: 0.5,
            ramp: 1.0 / 64.0,
            alignment: AlignmentTarget::Labelled,
        }
    }
}

impl ReMixMatchConfig {
    pub(super) fn validate(&self) -> Result<()> {
        positive("remixmatch.temperature", self.temperature)?;
        alpha("remixmatch.alpha", self.alpha)?;
        at_least_zero("remixmatch.weight", self.weight)?;
        at_least_zero("remixmatch.strong_weight", self.strong_weight)?;
        at_least_zero("remixmatch.rotation_weight", self.rotation_weight)?;
        probability("remixmatch.ramp", self.ramp)
    }
}

/// FlexMatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlexMatchConfig {
    /// Whether thresholds stay low while most faces have never been predicted surely.
    pub warm_up: bool,
}

impl Default for FlexMatchConfig {
    fn default() -> Self {
        Self { warm_up: true }
    }
}

/// FreeMatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeMatchConfig {
    /// λ of the term for fairness between classes, 0 or more.
    pub fairness: f64,
}

impl Default for FreeMatchConfig {
    fn default() -> Self {
        Self { fairness: 0.001 }
    }
}

impl FreeMatchConfig {
    pub(super) fn validate(&self) -> Result<()> {
        at_least_zero("freematch.fairness", self.fairness)
    }
}

/// SoftMatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftMatchConfig {
    /// The weight falls off like a normal distribution of 1/this of the confidences' deviation, above 0.
    pub sigmas: f64,
    /// What confidences are aligned to before they are weighed.
    pub alignment: AlignmentTarget,
}

impl Default for SoftMatchConfig {
    fn default() -> Self {
        Self { sigmas: 2.0, alignment: AlignmentTarget::Uniform }
    }
}

impl SoftMatchConfig {
    pub(super) fn validate(&self) -> Result<()> {
        positive("softmatch.sigmas", self.sigmas)
    }
}

/// A Beta distribution's α: below, draws are all 0 or 1; above, all a half.
fn alpha(key: &'static str, value: f64) -> Result<()> {
    check(key, value, (0.05..=10.0).contains(&value), "0.05 to 10")
}
