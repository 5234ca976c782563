//! Settings of Ada-CM: the margin, the loss's weights, and its options beyond the paper.

use serde::{Deserialize, Serialize};

use super::{AlignmentTarget, at_least_zero, check, probability};
use crate::Result;

/// The margin's schedule over the epoch number t (Ada-CM Eq. 2 and its ablations Eq. 6, 7, 8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// 1 / (1 + γ^−t).
    #[default]
    Eq2,
    /// 1 / (1 + (t + 1) / t).
    Eq6,
    /// 1 / (1 + (t + 1) / (2 t)).
    Eq7,
    /// 1 / (1 + e^log2(t + 1)).
    Eq8,
    /// None: every class keeps `initial`, whatever is measured (the ablation of one fixed margin).
    Fixed,
}

/// Which labelled faces say how sure the network is of a class (T_c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarginFaces {
    /// Those predicted as the class and right (Eq. 1).
    #[default]
    Right,
    /// All that are predicted as the class, right or wrong (an ablation).
    Predicted,
}

/// When the margins move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarginUpdate {
    /// After every epoch, measured by the teacher on all labelled faces.
    #[default]
    Epoch,
    /// In every step, by a moving average over the student's labelled batches.
    Step,
}

/// What the unlabelled loss is divided by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnlabelledOver {
    /// The whole unlabelled batch, as released.
    #[default]
    Batch,
    /// The size of subset I, as Eq. 4 is written.
    Subset,
}

/// The adaptive confidence margin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarginConfig {
    /// Margin of every class before the first measurement, in 0..=1.
    pub initial: f64,
    /// Lowest margin a measured class can get, in 0..=1; 0 = no floor.
    pub floor: f64,
    /// Factor β of Eq. 2, in 0..=1.
    pub beta: f64,
    /// Base γ of Eq. 2, above 1.
    pub gamma: f64,
    /// Margin of a class without a right sample, in 0..=1; the floor does not touch it.
    pub empty_class: f64,
    /// How the margin grows with t.
    pub schedule: Schedule,
    /// Whether t starts again at 1, and the margins at `initial`, in every round.
    pub restart_t_each_round: bool,
    /// Which labelled faces T_c is measured on.
    pub faces: MarginFaces,
    /// When the margins move.
    pub update: MarginUpdate,
}

impl MarginConfig {
    pub(super) fn validate(&self) -> Result<()> {
        probability("margin.initial", self.initial)?;
        check("margin.floor", self.floor, (0.0..=1.0).contains(&self.floor), "0 (off) to 1")?;
        probability("margin.beta", self.beta)?;
        check("margin.gamma", self.gamma, self.gamma > 1.0 && self.gamma.is_finite(), "above 1")?;
        probability("margin.empty_class", self.empty_class)
    }
}

/// How the terms of the loss are weighed, each 0 or more. Ada-CM takes all of them (Eq. 5 has the first three); of the
/// other methods those that pseudo-label take `unlabelled` and weigh labelled faces 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// λ of the cross-entropy on labelled faces.
    pub supervised: f64,
    /// λ of the cross-entropy on pseudo-labelled faces.
    pub unlabelled: f64,
    /// λ of the InfoNCE term over subset II.
    pub contrastive: f64,
    /// λ of the set-valued pseudo-labels of subset II.
    pub set_valued: f64,
    /// λ of negative learning on subset II.
    pub negative: f64,
}

impl Weights {
    pub(super) fn validate(&self) -> Result<()> {
        at_least_zero("weights.supervised", self.supervised)?;
        at_least_zero("weights.unlabelled", self.unlabelled)?;
        at_least_zero("weights.contrastive", self.contrastive)?;
        at_least_zero("weights.set_valued", self.set_valued)?;
        at_least_zero("weights.negative", self.negative)
    }
}

/// Options of Ada-CM beyond the paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaCmConfig {
    /// Whether the contrastive term's gradient goes through the weak views; the first released version forgot it.
    pub weak_gradient: bool,
    /// What mean predictions are aligned to before faces are split.
    pub alignment: AlignmentTarget,
    /// Probability that a set-valued pseudo-label holds together, in 0..=1.
    pub set_mass: f64,
    /// Most classes of such a set, in 1..=64.
    pub set_size: usize,
    /// A face is taught not to be of classes less probable than this, in 0..=1.
    pub negative_below: f64,
}

impl AdaCmConfig {
    pub(super) fn validate(&self) -> Result<()> {
        probability("ada_cm.set_mass", self.set_mass)?;
        check("ada_cm.set_size", self.set_size, (1..=64).contains(&self.set_size), "1 to 64")?;
        probability("ada_cm.negative_below", self.negative_below)
    }
}

impl Default for AdaCmConfig {
    fn default() -> Self {
        Self { weak_gradient: true, alignment: AlignmentTarget::None, set_mass: 0.9, set_size: 3, negative_below: 0.05 }
    }
}
