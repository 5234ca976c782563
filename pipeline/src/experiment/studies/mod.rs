//! The studies of the report and beyond: one file and two lines each.
//!
//! In: settings to start from and what the command line narrows down. Out: the arms to compare, and what they are measured on.

mod ablation;
mod active_learning;
mod table1;
mod table2;

use marginalia_trainer::TrainerConfig;

use super::arm::Arm;
use crate::error::{ExperimentError, Result};

/// One study.
#[derive(Debug)]
pub struct Study {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub about: &'static str,
    /// What it compares, from settings to start from.
    pub arms: fn(&TrainerConfig) -> Vec<Arm>,
    /// Names of the arms that are run unless others are chosen.
    pub usual: fn() -> Vec<&'static str>,
    /// The arm that all others are tested against.
    pub reference: &'static str,
    /// What a run is.
    pub kind: Kind,
}

/// What a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A training, measured on the test split of its own data set.
    Training,
    /// A training, measured on the test splits of the other data sets.
    Transfer,
    /// Rounds of the real loop with a simulated annotator, measured on the test split of their own data set.
    Simulation,
}

/// All of them.
pub const STUDIES: &[&Study] = &[&table1::STUDY, &table2::STUDY, &ablation::STUDY, &active_learning::STUDY];

impl Study {
    /// The arms that are wanted, in that order; an empty choice means the usual ones.
    ///
    /// # Errors
    /// An unknown arm, with those there are; settings out of range.
    pub fn wanted(&self, base: &TrainerConfig, chosen: &[String]) -> Result<Vec<Arm>> {
        let all = (self.arms)(base);
        if let Some(unknown) = chosen.iter().find(|name| !all.iter().any(|arm| arm.name == **name)) {
            let known = all.iter().map(|arm| arm.name.clone()).collect::<Vec<_>>().join(", ");
            return Err(ExperimentError::UnknownArm { study: self.name, name: unknown.clone(), known }.into());
        }
        let wanted: Vec<&str> = match chosen {
            [] => (self.usual)(),
            chosen => chosen.iter().map(String::as_str).collect(),
        };
        let named = |name: &&str| all.iter().find(|arm| arm.name == **name).cloned();
        let arms: Vec<Arm> = wanted.iter().filter_map(named).collect();
        arms.iter().try_for_each(|arm| arm.config.validate())?;
        Ok(arms)
    }
}
