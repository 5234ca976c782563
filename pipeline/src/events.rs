//! Everything that long work tells the outside, as one closed enum.
//!
//! Workers emit events and know nobody who reads them. Progress bars, plain lines, JSON lines, server-sent events and
//! metrics are readers (see [`report`](crate::report)): what one of them shows, all of them can.

use serde::{Deserialize, Serialize};

use crate::serving::Served;

/// What came in so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestCounts {
    /// Files or records looked at.
    pub seen: u64,
    /// Faces that were not known before.
    pub new: u64,
    /// Faces whose content was known already.
    pub repeats: u64,
    /// Inputs refused, with a reason each in `rejects`.
    pub rejected: u64,
    /// Entries that are no input: links, folders, ignored names.
    pub skipped: u64,
}

/// One class after an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassMargin {
    /// The class.
    pub expression: String,
    /// Margin in force in the next epoch.
    pub margin: f64,
    /// Mean confidence of its right samples; none without any.
    pub mean_confidence: Option<f64>,
    /// Labelled samples predicted as this class and right.
    pub right: u64,
}

/// The value of one loss term.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossTerm {
    /// Its name, as the method calls it.
    pub name: String,
    /// Of a step, or the mean over an epoch.
    pub value: f64,
}

/// One thing that happened. Counts are totals since the work began, rates are per second, shares are fractions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Ingest begins.
    IngestStarted {
        /// Folders and files it reads.
        paths: Vec<String>,
        /// Name of the stream its faces get.
        stream: String,
        /// Whether it goes on after the first scan.
        watching: bool,
    },
    /// Ingest goes on (a tick).
    IngestProgress {
        /// Totals.
        #[serde(flatten)]
        counts: IngestCounts,
        /// Inputs a second, lately.
        images_per_second: f64,
    },
    /// A walk over all folders is complete.
    ScanFinished {
        /// Files found, known ones included.
        files: u64,
    },
    /// Ingest ends.
    IngestFinished {
        /// Totals.
        #[serde(flatten)]
        counts: IngestCounts,
        /// Duration.
        seconds: f64,
    },
    /// Between rounds a new face was scored by the current teacher.
    FaceScored {
        /// The face.
        face_id: String,
        /// Its likeliest class.
        expression: String,
        /// The mean prediction's maximum.
        confidence: f64,
        /// The class's margin.
        margin: f64,
        /// `I` or `II`.
        subset: String,
        /// Round of the teacher.
        round: u32,
    },
    /// An import begins.
    ImportStarted {
        /// Format.
        format: String,
        /// What is read.
        path: String,
    },
    /// An import goes on (a tick).
    ImportProgress {
        /// Totals.
        #[serde(flatten)]
        counts: IngestCounts,
        /// Labels taken over.
        labels: u64,
        /// Records a second, lately.
        images_per_second: f64,
    },
    /// An import ends.
    ImportFinished {
        /// Totals.
        #[serde(flatten)]
        counts: IngestCounts,
        /// Labels taken over.
        labels: u64,
        /// Duration.
        seconds: f64,
    },
    /// A round begins.
    RoundStarted {
        /// Its number.
        round: u32,
        /// Its method.
        method: String,
        /// Its seed.
        seed: u64,
        /// Whether it goes on where a killed process left it.
        resumed: bool,
    },
    /// A round knows what it trains on.
    RoundPlanned {
        /// Round.
        round: u32,
        /// Size of S.
        labelled: u64,
        /// Size of U in this round.
        unlabelled: u64,
        /// Size of the pool U is drawn from.
        pool: u64,
        /// Size of the validation split.
        validation: u64,
        /// Epochs to come.
        epochs: u32,
        /// Steps in each.
        steps_per_epoch: u32,
    },
    /// A step of the warm start was made, before the first epoch (a tick).
    WarmStartStep {
        /// Round.
        round: u32,
        /// Steps made so far.
        step: u32,
        /// Steps of the warm start.
        steps: u32,
        /// InfoNCE.
        loss: f64,
    },
    /// An optimiser step was made (a tick).
    EpochStep {
        /// Round.
        round: u32,
        /// Epoch in the round, from 1.
        epoch: u32,
        /// Epochs in the round.
        epochs: u32,
        /// Steps made in this epoch.
        step: u32,
        /// Steps in an epoch.
        steps: u32,
        /// Total loss.
        loss: f64,
        /// Losses by term, the total among them.
        losses: Vec<LossTerm>,
        /// Share of the unlabelled batch in subset I; none for methods without one.
        subset_one_share: Option<f64>,
    },
    /// An epoch ends.
    EpochFinished {
        /// Round.
        round: u32,
        /// Epoch in the round, from 1.
        epoch: u32,
        /// Epochs in the round.
        epochs: u32,
        /// The margin's epoch number.
        t: u32,
        /// Losses by term.
        losses: Vec<LossTerm>,
        /// Share of the unlabelled faces in subset I; none for methods without one.
        subset_one_share: Option<f64>,
        /// Accuracy on the validation split; none without one.
        validation_accuracy: Option<f64>,
        /// Macro-F1 on the validation split; none without one.
        validation_macro_f1: Option<f64>,
        /// Margins by class.
        margins: Vec<ClassMargin>,
        /// Share of the steps' time that they waited for their batches.
        waiting_share: f64,
        /// Duration.
        seconds: f64,
    },
    /// The gate has decided.
    GateChecked {
        /// Round.
        round: u32,
        /// Whether the checkpoint is used.
        accepted: bool,
        /// Macro-F1 of this checkpoint; none without a validation split.
        macro_f1: Option<f64>,
        /// Macro-F1 of the last accepted one; none for the first.
        previous_macro_f1: Option<f64>,
        /// Loss that is allowed.
        allowed_loss: f64,
    },
    /// The pool is being scored (a tick).
    PoolScored {
        /// Round.
        round: u32,
        /// Faces scored.
        scored: u64,
        /// Faces to score.
        faces: u64,
        /// Faces a second, lately.
        images_per_second: f64,
    },
    /// A round is done and visible.
    RoundCommitted {
        /// Round.
        round: u32,
        /// Faces scored.
        scored: u64,
        /// Pseudo-labels: faces in subset I.
        subset_one: u64,
        /// Candidates for people: faces in subset II.
        subset_two: u64,
        /// Accuracy on the validation split; none without one.
        validation_accuracy: Option<f64>,
        /// Macro-F1 on the validation split; none without one.
        validation_macro_f1: Option<f64>,
        /// Duration.
        seconds: f64,
    },
    /// A round is done, but its checkpoint lost too much and is not used.
    RoundRejected {
        /// Round.
        round: u32,
        /// Why.
        reason: String,
        /// Duration.
        seconds: f64,
    },
    /// A round ended before it was done; nothing of it shows.
    RoundAborted {
        /// Round.
        round: u32,
        /// Why.
        reason: String,
    },
    /// An experiment knows its runs.
    ExperimentPlanned {
        /// Which study.
        study: String,
        /// Training runs in all.
        runs: u64,
        /// Those recorded by earlier commands.
        done: u64,
    },
    /// A run of an experiment made a step (a tick).
    RunStep {
        /// Its number, from 1.
        run: u64,
        /// Runs in all.
        runs: u64,
        /// What it is.
        name: String,
        /// Epoch, from 1.
        epoch: u32,
        /// Steps made in this epoch.
        step: u32,
        /// Steps in an epoch.
        steps: u32,
    },
    /// A run of an experiment ended and stands in the table.
    RunRecorded {
        /// Its number, from 1.
        run: u64,
        /// Runs in all.
        runs: u64,
        /// What it is.
        name: String,
        /// What it was measured on.
        target: String,
        /// Share of right predictions.
        accuracy: f64,
        /// Mean F1.
        macro_f1: f64,
        /// Duration of its training.
        seconds: f64,
        /// Time that the runs to come will take, about.
        seconds_left: f64,
    },
    /// A table was compacted, indexed or cleaned up.
    Maintained {
        /// Table.
        table: String,
        /// What was done: `compacted`, `indexed`, `cleaned`, `freed of copies`.
        work: String,
        /// Duration of the pass that did it.
        seconds: f64,
    },
    /// Ports are open.
    Serving {
        /// Which, for what.
        #[serde(flatten)]
        served: Served,
    },
    /// Something to look at; the work goes on.
    Warning {
        /// What, and what to do.
        message: String,
    },
}

impl Event {
    /// Whether a later event of the same kind says all that this one says, so that it may be left out when readers are
    /// slow.
    pub fn is_tick(&self) -> bool {
        matches!(
            self,
            Self::IngestProgress { .. }
                | Self::ImportProgress { .. }
                | Self::WarmStartStep { .. }
                | Self::EpochStep { .. }
                | Self::PoolScored { .. }
                | Self::RunStep { .. }
        )
    }
}
