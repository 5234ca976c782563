//! What an experiment compares.

use marginalia_trainer::TrainerConfig;
use serde::Serialize;

/// A way to train: a row of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Arm {
    /// Its name in tables and on the command line.
    pub name: String,
    /// Settings of the training; the seed is each run's own.
    pub config: TrainerConfig,
    /// Share of the unlabelled faces that are generated, 0 or more and below 1.
    pub generated: f64,
    /// Whether the shares that predictions are aligned to are the true ones of the data set's training faces.
    pub true_shares: bool,
    /// What chooses the faces to be labelled, in a simulation: a file or a shipped order, as in `[curriculum]`.
    pub queue: Option<String>,
}

impl Arm {
    /// The settings under another method.
    pub fn of_method(method: &str, base: &TrainerConfig) -> Self {
        Self {
            name: method.to_owned(),
            config: TrainerConfig { method: method.to_owned(), ..base.clone() },
            generated: 0.0,
            true_shares: false,
            queue: None,
        }
    }
}
