//! What a command asks for, and the runs it comes to.
//!
//! In: a study's arms, data sets, label budgets and seeds. Out: cells in the order in which they run, breadth first: every arm
//! once before any gets its second seed, so that a table broken off early compares all of them. A run is named by all that
//! decides its result, so that none is made twice, whichever study asks for it.

use std::path::{Path, PathBuf};

use marginalia_datasets::LabelBudget;
use marginalia_trainer::TrainerConfig;
use serde::Serialize;
use serde_json::json;

use super::arm::Arm;
use super::data_set::DataSet;
use super::studies::{Kind, Study};
use crate::error::{Error, Result};

/// Everything an experiment is about.
pub struct Plan {
    /// The study.
    pub study: &'static Study,
    /// What is compared.
    pub arms: Vec<Arm>,
    /// What is trained on, and measured on.
    pub data_sets: Vec<DataSet>,
    /// Label budgets.
    pub labels: Vec<LabelBudget>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Weights to start from instead of random ones.
    pub init: Option<Init>,
    /// How a simulation goes.
    pub simulation: Simulation,
    /// The command line, to be repeated.
    pub command: String,
}

/// How a simulation goes: a round, then labels for the top of the queue, and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Simulation {
    /// Rounds.
    pub rounds: u32,
    /// Labels between two rounds.
    pub per_round: usize,
}

/// Weights to start from.
#[derive(Clone, Debug)]
pub struct Init {
    /// A file of torchvision weights.
    pub path: PathBuf,
    /// BLAKE3 of it.
    pub hash: String,
}

impl Init {
    /// The file at a path.
    ///
    /// # Errors
    /// One that cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let mut hash = blake3::Hasher::new();
        let file = std::fs::File::open(path).map_err(Error::io(path))?;
        hash.update_reader(file).map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), hash: hash.finalize().to_hex().to_string() })
    }
}

/// One training run of the plan.
#[derive(Clone, Copy)]
pub struct Cell<'a> {
    /// What trains.
    pub arm: &'a Arm,
    /// On what.
    pub data_set: &'a DataSet,
    /// With how many labels.
    pub labels: LabelBudget,
    /// And which of them.
    pub seed: u64,
}

impl Plan {
    /// Every run, in order.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.seeds.iter().flat_map(move |seed| {
            self.labels.iter().flat_map(move |labels| {
                self.data_sets.iter().flat_map(move |data_set| {
                    let cell = move |arm| Cell { arm, data_set, labels: *labels, seed: *seed };
                    self.arms.iter().map(cell)
                })
            })
        })
    }

    /// What a model trained on this data set is measured on.
    pub fn targets(&self, trained_on: &DataSet) -> impl Iterator<Item = &DataSet> {
        let other = self.study.kind == Kind::Transfer;
        self.data_sets.iter().filter(move |target| (target.name != trained_on.name) == other)
    }

    /// The name of a cell's run.
    pub fn run(&self, cell: &Cell<'_>) -> String {
        let decides = json!({
            "faces": cell.data_set.state,
            "labels": cell.labels.to_string(),
            "generated": cell.arm.generated,
            "config": self.config(cell),
            "init": self.init.as_ref().map(|init| &init.hash),
            "queue": cell.arm.queue,
            "simulation": (self.study.kind == Kind::Simulation).then_some(self.simulation),
        });
        blake3::hash(decides.to_string().as_bytes()).to_hex().to_string()
    }

    /// The settings of a cell's training.
    pub fn config(&self, cell: &Cell<'_>) -> TrainerConfig {
        TrainerConfig { seed: cell.seed, ..cell.arm.config.clone() }
    }
}
