//! Experiments: many training runs, compared.
//!
//! In: a [`plan`] of a study's arms, data sets, label budgets and seeds. Out: a row of `experiments` for every run as it ends,
//! and the tables and plots that [`results`] makes of them. A killed experiment goes on with its next command: finished runs
//! stand in the table, the one that was under way in its folder.

pub mod arm;
mod clock;
pub mod corpora;
pub mod data_set;
mod divergence;
mod generated;
pub mod given;
pub mod label_time;
mod learning;
mod outcome;
pub mod plan;
pub mod plots;
pub mod results;
mod running;
mod settings;
mod simulating;
pub mod statistics;
pub mod studies;
pub mod words;

use std::path::{Path, PathBuf};

pub use running::run;

/// Where the corpora of data sets, the runs' checkpoints and the results lie.
pub fn folder(home: &Path) -> PathBuf {
    home.join("experiments")
}
