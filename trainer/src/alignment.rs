//! Distribution alignment (ReMixMatch, Berthelot et al., ICLR 2020, section 3.1): predictions on unlabelled faces are
//! corrected until their average has the class shares they should have.
//!
//! p̃ = norm(p · target / p̄), p̄ a moving average of the mean prediction, both with 10⁻⁶ added. The target is a
//! setting, because each usual choice is wrong somewhere: uniform shares where the stream prefers some classes, those
//! of the labelled faces where these were chosen to be balanced.

use serde_json::Value;

use crate::config::{AlignmentTarget, TrainerConfig};

/// Added to both sides of the ratio, so that an absent class stays finite.
const EPSILON: f64 = 1e-6;

/// The target and the moving average; one per method.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    follows_labelled: bool,
    /// Shares of the classes; `None` = predictions stay as they are.
    target: Option<Vec<f64>>,
    momentum: f64,
    /// p̄; `None` before the first batch, whose own mean it then is.
    mean: Option<Vec<f64>>,
}

impl Alignment {
    /// Towards `target`, for so many classes. Labelled shares are unknown until [`begin_epoch`](Self::begin_epoch).
    pub fn new(target: AlignmentTarget, config: &TrainerConfig, classes: usize) -> Self {
        Self {
            follows_labelled: target == AlignmentTarget::Labelled,
            target: match target {
                AlignmentTarget::None | AlignmentTarget::Labelled => None,
                AlignmentTarget::Uniform => Some(vec![1.0 / classes as f64; classes]),
                AlignmentTarget::Shares => Some(config.alignment_shares.clone()),
            },
            momentum: config.moving_average.momentum(config.steps_per_round()),
            mean: None,
        }
    }

    /// Takes the classes' shares among the labelled faces, where they are the target.
    pub fn begin_epoch(&mut self, labelled_shares: Vec<f64>) {
        if self.follows_labelled {
            self.target = Some(labelled_shares);
        }
    }

    /// Moves the average by this batch's predictions (n, C), then returns them aligned, without gradient.
    pub fn align(&mut self, probabilities: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let Some(target) = &self.target else { return probabilities.to_vec() };
        let mean = moved(self.mean.take(), &column_means(probabilities), self.momentum);
        let ratio: Vec<f64> = target.iter().zip(&mean).map(|(to, from)| (to + EPSILON) / (from + EPSILON)).collect();
        self.mean = Some(mean);
        let aligned = |row: &Vec<f64>| normalised(row.iter().zip(&ratio).map(|(p, ratio)| p * ratio).collect());
        probabilities.iter().map(aligned).collect()
    }

    /// p̄ for a checkpoint; null before the first batch.
    pub fn state(&self) -> Value {
        self.mean.clone().into()
    }

    /// Takes p̄ back; the error is the problem in words.
    pub fn restore(&mut self, state: &Value, classes: usize) -> Result<(), String> {
        let mean: Option<Vec<f64>> = serde_json::from_value(state.clone()).map_err(|error| error.to_string())?;
        if let Some(mean) = mean.as_ref().filter(|mean| mean.len() != classes) {
            return Err(format!("a mean prediction of {} classes for {classes}", mean.len()));
        }
        self.mean = mean;
        Ok(())
    }
}

/// momentum · old + (1 − momentum) · new, number by number; `new` itself where there is no old.
pub fn moved(old: Option<Vec<f64>>, new: &[f64], momentum: f64) -> Vec<f64> {
    match old {
        Some(old) => old.iter().zip(new).map(|(old, new)| momentum * old + (1.0 - momentum) * new).collect(),
        None => new.to_vec(),
    }
}

/// The mean of every column of rows of equal length.
pub fn column_means(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut means = vec![0.0; rows.first().map_or(0, Vec::len)];
    for row in rows {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / rows.len() as f64);
    }
    means
}

/// Numbers divided by their sum; as they are where that is 0.
pub fn normalised(numbers: Vec<f64>) -> Vec<f64> {
    let sum: f64 = numbers.iter().sum();
    if sum > 0.0 { numbers.into_iter().map(|number| number / sum).collect() } else { numbers }
}
