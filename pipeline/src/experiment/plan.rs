//! What a command asks for, and the runs it comes to.
//!
//! In: a study's arms, data sets, label budgets and seeds. Out: cells in the order in which they run, breadth first: every arm
//! once before any gets its second seed, so that a table broken off early compares all of them. A run is named by all that
//! decides its result, so that none is made twice, whichever study or arm asks for it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use marginalia_datasets::LabelBudget;
use marginalia_trainer::{AlignmentTarget, TrainerConfig};
use serde::Serialize;
use serde_json::json;

use super::arm::Arm;
use super::data_set::DataSet;
use super::label_time::LabelTime;
use super::studies::{Kind, Study};
use crate::config::RoundConfig;
use crate::curriculum::orders;
use crate::error::{Error, ExperimentError, Result};

/// Everything an experiment is about.
pub struct Plan {
    /// The study.
    pub study: &'static Study,
    /// Settings of training that the arms start from.
    pub train: TrainerConfig,
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
    /// How long people take for a label; none where nobody measured it.
    pub label_time: Option<LabelTime>,
    /// The command line, to be repeated.
    pub command: String,
}

/// How a simulation goes: a round, then labels for the top of the queue, and again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simulation {
    /// Rounds.
    pub rounds: u32,
    /// Labels between two rounds.
    pub per_round: usize,
    /// Settings of every round.
    pub round: RoundConfig,
}

impl Simulation {
    /// With those settings of a corpus's rounds that decide what comes of them.
    pub fn new(rounds: u32, per_round: usize, settings: &RoundConfig) -> Self {
        let RoundConfig {
            gate_macro_f1_loss,
            max_labelled,
            max_unlabelled,
            max_scored,
            queue_top,
            embeddings_limit,
            score_batch,
            ..
        } = *settings;
        let round = RoundConfig {
            gate_macro_f1_loss,
            max_labelled,
            max_unlabelled,
            max_scored,
            queue_top,
            embeddings_limit,
            score_batch,
            audit_share: 0.0,
            relabel_share: 0.0,
            map_faces: 0,
            ..RoundConfig::default()
        };
        Self { rounds, per_round, round }
    }
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
    /// Every run, in order. Arms that come to the same settings share theirs: of those cells there is the first.
    pub fn runs(&self) -> Vec<Cell<'_>> {
        let mut seen = HashSet::new();
        self.cells().filter(|cell| seen.insert((self.run(cell), &cell.data_set.name))).collect()
    }

    /// Every arm on every data set with every budget and seed, in order.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.seeds.iter().flat_map(move |seed| {
            self.labels.iter().flat_map(move |labels| {
                self.trained().flat_map(move |data_set| {
                    let cell = move |arm| Cell { arm, data_set, labels: *labels, seed: *seed };
                    self.arms.iter().map(cell)
                })
            })
        })
    }

    /// What is trained on; the other data sets are only measured on.
    pub fn trained(&self) -> impl Iterator<Item = &DataSet> {
        self.data_sets.iter().filter(|data_set| data_set.can_train())
    }

    /// What a model trained on this data set is measured on.
    pub fn targets(&self, trained_on: &DataSet) -> impl Iterator<Item = &DataSet> {
        let other = self.study.kind == Kind::Transfer;
        self.data_sets.iter().filter(move |target| (target.name != trained_on.name) == other)
    }

    /// What a cell's record on a target is found by: the run, and what the row calls the target. The run's own data set needs
    /// no more than its name, since the name of the run says in which state it is.
    pub fn key(&self, cell: &Cell<'_>, target: &DataSet) -> (String, String) {
        let target = match target.name == cell.data_set.name {
            true => target.name.clone(),
            false => target.name_and_state(),
        };
        (self.run(cell), target)
    }

    /// The name of a cell's run.
    pub fn run(&self, cell: &Cell<'_>) -> String {
        let decides = json!({
            "faces": cell.data_set.state,
            "labels": cell.labels.to_string(),
            "generated": cell.arm.generated,
            "config": self.config(cell),
            "init": self.init.as_ref().map(|init| &init.hash),
            "queue": cell.arm.queue.as_deref().map(|queue| orders::find(queue).unwrap_or(orders::DEFAULT)),
            "simulation": (self.study.kind == Kind::Simulation).then_some(&self.simulation),
        });
        blake3::hash(decides.to_string().as_bytes()).to_hex().to_string()
    }

    /// The settings of a cell's training. What comes to the same here is written in one way, so that it is trained once.
    pub fn config(&self, cell: &Cell<'_>) -> TrainerConfig {
        let mut config = TrainerConfig { seed: cell.seed, ..cell.arm.config.clone() };
        if cell.arm.true_shares {
            config.alignment_shares = cell.data_set.shares();
        }
        // Without votes the class alone is taught.
        config.soft_targets = config.soft_targets && cell.data_set.has_votes();
        let is_balanced = self.study.kind != Kind::Simulation && matches!(cell.labels, LabelBudget::PerClass(_));
        if is_balanced && config.ada_cm.alignment == AlignmentTarget::Labelled {
            config.ada_cm.alignment = AlignmentTarget::Uniform;
        }
        config
    }

    /// Whether every run can be made, as far as that can be known before hours go by.
    ///
    /// # Errors
    /// A data set without faces to train on, unless others are trained on and measured on it; one whose labels cannot be
    /// hidden for a simulation; a budget that is too large for one.
    pub fn check(&self) -> Result<()> {
        let is_transfer = self.study.kind == Kind::Transfer && self.trained().next().is_some();
        for data_set in &self.data_sets {
            let dataset = data_set.name.clone();
            if self.study.kind == Kind::Simulation && data_set.given().is_none() {
                return Err(ExperimentError::NothingToHide { dataset }.into());
            }
            if !data_set.can_train() && !is_transfer {
                return Err(ExperimentError::NoFacesOfSplit { dataset, split: "train" }.into());
            }
        }
        self.trained().try_for_each(|data_set| self.labels.iter().try_for_each(|labels| data_set.check(*labels)))
    }
}
