//! Which part of a data set a face belongs to, and setting a share of it aside.

use std::fmt;
use std::str::FromStr;

use crate::draw::draw_key_for;
use crate::error::{Error, Result};

/// A part of a data set. Faces of an evaluation split are never trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    Train,
    Validation,
    Test,
}

impl Split {
    /// Every split, in the order of use.
    pub const ALL: [Self; 3] = [Self::Train, Self::Validation, Self::Test];

    /// The word stored in tables and used for folders.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The split that a word means, in any case: `train`, `training`; `validation`, `valid`, `val`, `dev`; `test`,
    /// `testing`, `eval`, and FER2013's `PublicTest` and `PrivateTest`. `None` for any other word.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "validation" | "valid" | "val" | "dev" => Some(Self::Validation),
            "test" | "testing" | "eval" | "publictest" | "privatetest" => Some(Self::Test),
            _ => None,
        }
    }

    /// Whether faces of this split are kept out of training.
    pub fn is_evaluation(self) -> bool {
        self != Self::Train
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Split {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text).ok_or_else(|| Error::UnknownSplit { text: text.to_owned() })
    }
}

/// A share of the faces that moves into another split: `validation:10%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HoldOut {
    pub split: Split,
    /// Above 0 and below 100.
    pub percent: f64,
}

impl HoldOut {
    /// Whether this face is held out. Decided by seed and face alone, so it is the same in every order of arrival and
    /// for every copy of the face, and a larger percentage holds out a superset. The share is exact only on average.
    pub fn holds(&self, seed: u64, face_id: &str) -> bool {
        let key = draw_key_for("hold-out", seed, face_id);
        let [a, b, c, d, e, f, g, h, ..] = key;
        let fraction = u64::from_be_bytes([a, b, c, d, e, f, g, h]) as f64 / 2f64.powi(64);
        fraction * 100.0 < self.percent
    }
}

impl fmt::Display for HoldOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}%", self.split, self.percent)
    }
}

impl FromStr for HoldOut {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::InvalidHoldOut { text: text.to_owned() };
        let (split, share) = text.split_once(':').ok_or_else(invalid)?;
        let split: Split = split.parse()?;
        let percent: f64 =
            share.trim().strip_suffix('%').unwrap_or(share.trim()).trim().parse().map_err(|_| invalid())?;
        let works = split.is_evaluation() && percent > 0.0 && percent < 100.0;
        works.then_some(Self { split, percent }).ok_or_else(invalid)
    }
}
