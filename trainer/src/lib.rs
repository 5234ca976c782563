//! How a model learns: from labelled and unlabelled faces to a checkpoint, and from a checkpoint to scores.
//!
//! Data flows one way. A [`FaceSource`] gives image bytes, [`loader`] decodes them and makes weak and strong [`views`],
//! the student ([`network`]) turns views into features and logits, a [`methods::Method`] turns those into a loss, the
//! [`learner`] moves student and EMA teacher, [`training`] runs epochs and measures the adaptive [`margin`], and
//! [`scoring`] reads the checkpoint it leaves. Every random number comes from a named stream ([`streams`]), so that a
//! round can be run again, and a killed one resumed, with the same numbers.

pub mod config;
pub mod device;
pub mod error;
pub mod shortage;
pub mod streams;

pub mod views;

pub mod loader;
mod sampler;

pub mod engine;

pub mod backbones;
pub mod network;

pub mod alignment;
pub mod margin;
pub mod methods;
pub mod mixing;

mod health;
pub mod learner;
pub mod report;
mod steps;
pub mod tensorboard;
pub mod training;
mod warm_start;

pub mod calibration;
pub mod charts;
pub mod evaluation;
pub mod inference;
pub mod metrics;

pub mod checkpoint;
pub mod state_dict;
pub mod weights;

pub mod scoring;

mod disagreement;
pub mod projection;

pub use calibration::Calibration;
pub use checkpoint::CheckpointInfo;
pub use config::{
    AlignmentTarget, BatchNormOver, ChannelOrder, MarginConfig, MarginFaces, MarginUpdate, Preset, Schedule,
    TrainerConfig, UnlabelledOver, Weights,
};
pub use error::{Error, Result};
pub use loader::{FaceSource, LabelledFace, RoundData, UnlabelledFace};
pub use metrics::Metrics;
pub use report::{ClassReport, EpochReport, StepReport};
pub use scoring::{Score, Scorer, WithLogits};
pub use shortage::{Shortage, shortages};
pub use training::{Control, Start, Training};
pub use weights::LoadedWeights;
