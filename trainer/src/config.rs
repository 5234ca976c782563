//! Every setting of a round, with its unit and range, and the two presets.
//!
//! `released` is the published recipe of Ada-CM to the letter; `streaming` (the default) is what short rounds from
//! scratch need: a warmed-up EMA, scaled features and no floor under the margin. A config file names a preset and only
//! what differs from it. Methods have sections of their own where they need them: [`ada_cm`] and [`rivals`].

pub mod ada_cm;
pub mod rivals;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

pub use self::ada_cm::{AdaCmConfig, MarginConfig, MarginFaces, MarginUpdate, Schedule, UnlabelledOver, Weights};
pub use self::rivals::{AlignmentTarget, MovingAverageConfig};
use self::rivals::{
    FlexMatchConfig, FreeMatchConfig, MarginMixConfig, MixMatchConfig, ReMixMatchConfig, SoftMatchConfig, UdaConfig,
};
use crate::device::DeviceName;
use crate::{Error, Result, backbones, methods};

/// Where a configuration's values come from before the file's own keys are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Short rounds on a growing corpus.
    #[default]
    Streaming,
    /// The published recipe.
    Released,
}

/// The order of colour channels that the network sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red first, as torchvision's weights want.
    #[default]
    Rgb,
    /// Blue first, as the released Ada-CM code (OpenCV) and its MS-Celeb-1M weights want.
    Bgr,
}

/// Which images BatchNorm takes its statistics over in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchNormOver {
    /// Each view by itself, as if it went through the network alone; as released.
    #[default]
    View,
    /// All views of a pass together.
    Batch,
}

/// Every setting of a round. Deserialising starts from the preset that `preset` names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct TrainerConfig {
    /// `streaming` or `released`: where the values not given come from.
    pub preset: Preset,
    /// Method, by name.
    pub method: String,
    /// Backbone, by name: `resnet18`, `resnet34` or `resnet-tiny`.
    pub backbone: String,
    /// Factor on the number of channels, in 0.0625..=4; 1 = as published.
    pub width: f64,
    /// Side of the network's input in pixels, in 16..=512.
    pub image_size: usize,
    /// Channels of the network's input: 3, or 1 for grey.
    pub input_channels: usize,
    /// Channel order of the network's input, where it has three.
    pub channel_order: ChannelOrder,
    /// Labelled faces in a step, in 2..=4096.
    pub batch_labelled: usize,
    /// Unlabelled faces in a step, in 2..=4096.
    pub batch_unlabelled: usize,
    /// Optimiser steps in an epoch, in 1..=1000000.
    pub steps_per_epoch: u32,
    /// Epochs in a round, in 1..=100000.
    pub epochs_per_round: u32,
    /// Adam's learning rate, constant, above 0 and at most 1.
    pub learning_rate: f64,
    /// Decay of the EMA teacher per step, 0 or more and below 1.
    pub ema_decay: f64,
    /// Whether the decay is min(ema_decay, (1 + s) / (10 + s)), s = optimiser steps since the corpus's first round.
    pub ema_warmup: bool,
    /// Factor on the unit-norm feature before the head, above 0.
    pub feature_scale: f64,
    /// After each step the student's parameters are multiplied by 1 − student_decay · learning_rate; in 0..=1.
    pub student_decay: f64,
    /// Whether that decay also touches BatchNorm's running statistics.
    pub decay_buffers: bool,
    /// Whether labelled faces teach their whole target where they have one, such as people's votes, or the class alone.
    pub soft_targets: bool,
    /// Steps on faces without their labels before the first epoch of a round from scratch, in 0..=1000000; 0 = none.
    pub warm_start_steps: u32,
    /// InfoNCE's temperature in those steps, above 0.
    pub warm_start_temperature: f64,
    /// The adaptive confidence margin.
    pub margin: MarginConfig,
    /// Weak views of an unlabelled face, in 1..=8.
    pub k_weak: usize,
    /// Strong views of an unlabelled face, in 1..=8.
    pub k_strong: usize,
    /// Weights of the loss terms.
    pub weights: Weights,
    /// InfoNCE's temperature, above 0.
    pub contrastive_temperature: f64,
    /// What the unlabelled loss of Ada-CM is divided by.
    pub unlabelled_over: UnlabelledOver,
    /// Options of Ada-CM beyond the paper.
    pub ada_cm: AdaCmConfig,
    /// Confidence from which `pseudo-label`, `fixmatch` and `flexmatch` take a pseudo-label, in 0..=1.
    pub threshold: f64,
    /// Share of the round over which the unlabelled term of `pseudo-label`, `mixmatch` and `margin-mix` grows from 0,
    /// in 0..=1; 0 = at once.
    pub ramp: f64,
    /// Moving averages that methods keep.
    pub moving_average: MovingAverageConfig,
    /// Shares of the classes, in their order, that predictions are aligned to where an `alignment` is `shares`.
    pub alignment_shares: Vec<f64>,
    /// MixMatch.
    pub mixmatch: MixMatchConfig,
    /// Margin-Mix, beside what it has of MixMatch.
    pub margin_mix: MarginMixConfig,
    /// ReMixMatch.
    pub remixmatch: ReMixMatchConfig,
    /// UDA.
    pub uda: UdaConfig,
    /// FlexMatch.
    pub flexmatch: FlexMatchConfig,
    /// FreeMatch.
    pub freematch: FreeMatchConfig,
    /// SoftMatch.
    pub softmatch: SoftMatchConfig,
    /// Which images BatchNorm takes its statistics over.
    pub batch_norm: BatchNormOver,
    /// Dropout before the feature is normalised, 0 or more and below 1.
    pub dropout: f64,
    /// Seed of every random stream.
    pub seed: u64,
    /// What computes: `cpu`, `cuda:N` or `metal:N` (N = number of the device).
    pub device: String,
    /// Threads that compute on the CPU; 0 = all cores.
    pub threads: usize,
    /// Threads that decode and augment, in 1..=64.
    pub loader_threads: usize,
    /// Batches prepared ahead of the step, in 1..=64.
    pub prefetch: usize,
    /// Faces in one forward pass of evaluation and scoring, in 1..=4096.
    pub batch_scoring: usize,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self::streaming()
    }
}

impl TrainerConfig {
    /// The published recipe: 20 epochs of 800 steps at 224 pixels, BGR, floor 0.8, EMA without warm-up.
    pub fn released() -> Self {
        Self {
            preset: Preset::Released,
            method: "ada-cm".to_owned(),
            backbone: "resnet18".to_owned(),
            width: 1.0,
            image_size: 224,
            input_channels: 3,
            channel_order: ChannelOrder::Bgr,
            batch_labelled: 16,
            batch_unlabelled: 16,
            steps_per_epoch: 800,
            epochs_per_round: 20,
            learning_rate: 5e-4,
            ema_decay: 0.999,
            ema_warmup: false,
            feature_scale: 1.0,
            student_decay: 0.02,
            decay_buffers: true,
            soft_targets: false,
            warm_start_steps: 0,
            warm_start_temperature: 0.5,
            margin: MarginConfig {
                initial: 0.8,
                floor: 0.8,
                beta: 0.97,
                gamma: std::f64::consts::E,
                empty_class: 0.8,
                schedule: Schedule::Eq2,
                restart_t_each_round: false,
                faces: MarginFaces::Right,
                update: MarginUpdate::Epoch,
            },
            k_weak: 2,
            k_strong: 1,
            weights: Weights { supervised: 0.5, unlabelled: 1.0, contrastive: 0.1, set_valued: 0.0, negative: 0.0 },
            contrastive_temperature: 0.07,
            unlabelled_over: UnlabelledOver::Batch,
            ada_cm: AdaCmConfig::default(),
            threshold: 0.95,
            ramp: 0.4,
            moving_average: MovingAverageConfig { momentum: 0.999, spans_per_round: 0.0 },
            alignment_shares: Vec::new(),
            mixmatch: MixMatchConfig::default(),
            margin_mix: MarginMixConfig::default(),
            remixmatch: ReMixMatchConfig::default(),
            uda: UdaConfig::default(),
            flexmatch: FlexMatchConfig::default(),
            freematch: FreeMatchConfig::default(),
            softmatch: SoftMatchConfig::default(),
            batch_norm: BatchNormOver::View,
            dropout: 0.5,
            seed: 5,
            device: "cpu".to_owned(),
            threads: 0,
            loader_threads: 1,
            prefetch: 4,
            batch_scoring: 128,
        }
    }

    /// The default: short rounds at 48 pixels, EMA warm-up, features scaled by 16, no floor under the margin,
    /// moving averages no longer than a tenth of a round.
    pub fn streaming() -> Self {
        let released = Self::released();
        Self {
            preset: Preset::Streaming,
            image_size: 48,
            channel_order: ChannelOrder::Rgb,
            steps_per_epoch: 100,
            epochs_per_round: 5,
            ema_warmup: true,
            feature_scale: 16.0,
            decay_buffers: false,
            margin: MarginConfig { floor: 0.0, ..released.margin },
            moving_average: MovingAverageConfig { spans_per_round: 10.0, ..released.moving_average },
            seed: 1,
            ..released
        }
    }

    /// The configuration a preset stands for.
    pub fn preset(preset: Preset) -> Self {
        match preset {
            Preset::Streaming => Self::streaming(),
            Preset::Released => Self::released(),
        }
    }

    /// Checks every value; the error names key, value and valid range.
    pub fn validate(&self) -> Result<()> {
        methods::known(&self.method)?;
        backbones::named(&self.backbone)?;
        DeviceName::parse(&self.device)?;
        self.validate_sizes()?;
        self.validate_rates()?;
        self.validate_methods()
    }

    fn validate_methods(&self) -> Result<()> {
        self.margin.validate()?;
        self.weights.validate()?;
        self.ada_cm.validate()?;
        probability("threshold", self.threshold)?;
        probability("ramp", self.ramp)?;
        self.moving_average.validate()?;
        check_shares(&self.alignment_shares)?;
        self.mixmatch.validate()?;
        self.margin_mix.validate()?;
        self.remixmatch.validate()?;
        self.uda.validate()?;
        self.freematch.validate()?;
        self.softmatch.validate()
    }

    /// Optimiser steps in a round.
    pub fn steps_per_round(&self) -> u64 {
        u64::from(self.steps_per_epoch) * u64::from(self.epochs_per_round)
    }

    fn validate_sizes(&self) -> Result<()> {
        let within = |key, value: usize, low: usize, high: usize| {
            check(key, value, (low..=high).contains(&value), &format!("{low} to {high}"))
        };
        within("image_size", self.image_size, 16, 512)?;
        check("input_channels", self.input_channels, matches!(self.input_channels, 1 | 3), "1 (grey) or 3 (colour)")?;
        within("batch_labelled", self.batch_labelled, 2, 4096)?;
        within("batch_unlabelled", self.batch_unlabelled, 2, 4096)?;
        within("steps_per_epoch", self.steps_per_epoch as usize, 1, 1_000_000)?;
        within("epochs_per_round", self.epochs_per_round as usize, 1, 100_000)?;
        within("warm_start_steps", self.warm_start_steps as usize, 0, 1_000_000)?;
        within("k_weak", self.k_weak, 1, 8)?;
        within("k_strong", self.k_strong, 1, 8)?;
        within("threads", self.threads, 0, 1024)?;
        within("loader_threads", self.loader_threads, 1, 64)?;
        within("prefetch", self.prefetch, 1, 64)?;
        within("batch_scoring", self.batch_scoring, 1, 4096)
    }

    fn validate_rates(&self) -> Result<()> {
        check("width", self.width, (0.0625..=4.0).contains(&self.width), "0.0625 to 4")?;
        check(
            "learning_rate",
            self.learning_rate,
            self.learning_rate > 0.0 && self.learning_rate <= 1.0,
            "above 0, at most 1",
        )?;
        check("ema_decay", self.ema_decay, (0.0..1.0).contains(&self.ema_decay), "0 or more, below 1")?;
        positive("feature_scale", self.feature_scale)?;
        check("student_decay", self.student_decay, (0.0..=1.0).contains(&self.student_decay), "0 to 1")?;
        positive("contrastive_temperature", self.contrastive_temperature)?;
        positive("warm_start_temperature", self.warm_start_temperature)?;
        check("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "0 or more, below 1")
    }
}

impl Serialize for TrainerConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for TrainerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let given = Value::deserialize(deserializer)?;
        let preset = match given.get("preset") {
            Some(name) => Preset::deserialize(name).map_err(D::Error::custom)?,
            None => Preset::default(),
        };
        let mut merged = serde_json::to_value(Self::preset(preset)).map_err(D::Error::custom)?;
        overlay(&mut merged, given);
        Self::deserialize(merged).map_err(D::Error::custom)
    }
}

/// Puts the given keys over the preset's, table by table. Unknown keys stay, for the deserialiser to refuse.
fn overlay(base: &mut Value, given: Value) {
    match (base, given) {
        (Value::Object(base), Value::Object(given)) => {
            for (key, value) in given {
                overlay(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, given) => *base = given,
    }
}

fn check(key: &'static str, value: impl ToString, valid: bool, range: &str) -> Result<()> {
    if valid {
        return Ok(());
    }
    Err(Error::Setting { key, value: value.to_string(), valid: range.to_owned() })
}

fn probability(key: &'static str, value: f64) -> Result<()> {
    check(key, value, (0.0..=1.0).contains(&value), "0 to 1")
}

fn positive(key: &'static str, value: f64) -> Result<()> {
    check(key, value, value > 0.0 && value.is_finite(), "above 0")
}

fn at_least_zero(key: &'static str, value: f64) -> Result<()> {
    check(key, value, value >= 0.0 && value.is_finite(), "0 or more")
}

/// Whether shares are none or add up to 1; that there is one per class is known where the classes are.
fn check_shares(shares: &[f64]) -> Result<()> {
    let adds_up = (shares.iter().sum::<f64>() - 1.0).abs() < 1e-3 && shares.iter().all(|share| *share >= 0.0);
    let shown = format!("{shares:?}");
    check("alignment_shares", shown, shares.is_empty() || adds_up, "shares of 0 to 1 that add up to 1, one per class")
}
