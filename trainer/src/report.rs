//! What a training says of itself, step by step and epoch by epoch, and the sums behind it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::calibration::Calibration;
use crate::methods::{Loss, value};
use crate::metrics::Metrics;

/// What one step did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Epoch within the round, from 1; 0 = the warm start before.
    pub epoch: u32,
    /// Step within the epoch, from 1.
    pub step: u32,
    /// Steps of an epoch, or of the warm start.
    pub steps: u32,
    /// The total and every term, unweighted, by name.
    pub losses: Vec<(String, f64)>,
    /// Unlabelled faces accepted (subset I) in this step.
    pub accepted: u64,
    /// Unlabelled faces that were split in this step.
    pub split: u64,
    /// Duration of the step, waiting for its batch included.
    pub seconds: f64,
    /// Of that, how long it waited for its batch.
    #[serde(default)]
    pub waiting_seconds: f64,
}

/// What one epoch did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Epoch within the round, from 1.
    pub epoch: u32,
    /// Epoch number of the margin's schedule.
    pub t: u32,
    /// Optimiser steps since the corpus's first round.
    pub steps: u64,
    /// Means over the epoch's steps, by name; `total` among them.
    pub losses: Vec<(String, f64)>,
    /// Per class, in class order.
    pub classes: Vec<ClassReport>,
    /// Share of unlabelled faces accepted over the epoch; `None` where nothing was split.
    pub acceptance_rate: Option<f64>,
    /// Faces accepted (subset I) over the epoch, repeats counted.
    pub subset_one: u64,
    /// Faces not accepted (subset II) over the epoch, repeats counted.
    pub subset_two: u64,
    /// Accuracy of the teacher on S (weak view).
    pub labelled_accuracy: f64,
    /// Metrics of the teacher on the validation faces (plain view); `None` without any.
    pub validation: Option<Metrics>,
    /// The temperature fitted on the validation faces, and what it does to those metrics; `None` where none is best.
    #[serde(default)]
    pub calibration: Option<Calibration>,
    /// Distinct faces that could not be decoded in this epoch, or in the warm start before it.
    pub undecodable: Vec<String>,
    /// Duration of the epoch, measurement included.
    pub seconds: f64,
    /// Duration of the steps alone.
    pub training_seconds: f64,
    /// Of that, how long steps waited for their batches, the first batch of the epoch included. More than a twentieth
    /// says that the loader is too slow: more `loader_threads`, smaller files, a faster disk.
    #[serde(default)]
    pub waiting_seconds: f64,
    /// Steps per second over the training part.
    pub steps_per_second: f64,
}

/// One class after one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// The class's name.
    pub class: String,
    /// T_c of Eq. 1; `None` where the teacher got no face of it right.
    pub mean_confidence: Option<f64>,
    /// Change of T_c since the epoch before: how fast the class is being learnt.
    pub learning_speed: Option<f64>,
    /// Margin that was in force during this epoch.
    pub margin_used: f64,
    /// Margin measured after it: in force in the next epoch, and when the pool is scored.
    pub margin: f64,
    /// Faces of S predicted as this class and right.
    pub right: u64,
    /// Faces of S of this class.
    pub labelled: u64,
    /// Pseudo-labels of this class accepted over the epoch, repeats counted.
    pub accepted: u64,
}

impl StepReport {
    pub(crate) fn at(epoch: u32, step: u32, steps: u32, seconds: f64, waiting_seconds: f64) -> Self {
        Self { epoch, step, steps, losses: Vec::new(), accepted: 0, split: 0, seconds, waiting_seconds }
    }
}

impl EpochReport {
    /// Share of the steps' time that they waited for their batches, in 0..=1.
    pub fn waiting_share(&self) -> f64 {
        self.waiting_seconds / self.training_seconds.max(f64::MIN_POSITIVE)
    }
}

/// What has been seen in an epoch so far.
pub(crate) struct Tally {
    steps: u64,
    /// Sums by name, in the order the method gives them.
    losses: Vec<(String, f64)>,
    subset_one: u64,
    subset_two: u64,
    waiting_seconds: f64,
    accepted_by_class: Vec<u64>,
    /// Ordered, so that a report does not depend on threads.
    undecodable: BTreeSet<String>,
}

impl Tally {
    pub fn new(classes: usize) -> Self {
        Self {
            steps: 0,
            losses: Vec::new(),
            subset_one: 0,
            subset_two: 0,
            waiting_seconds: 0.0,
            accepted_by_class: vec![0; classes],
            undecodable: BTreeSet::new(),
        }
    }

    /// Adds a step's loss, and completes its report.
    pub fn add_step(&mut self, loss: &Loss, mut report: StepReport) -> Result<StepReport> {
        self.steps += 1;
        self.waiting_seconds += report.waiting_seconds;
        report.losses.push(("total".to_owned(), value(&loss.total)?));
        report.losses.extend(loss.parts.iter().map(|(name, value)| ((*name).to_owned(), *value)));
        for (name, value) in &report.losses {
            match self.losses.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += value,
                None => self.losses.push((name.clone(), *value)),
            }
        }
        if let Some(split) = &loss.split {
            report.split = split.subset_one.len() as u64;
            for (&class, _) in split.pseudo_labels.iter().zip(&split.subset_one).filter(|(_, accepted)| **accepted) {
                report.accepted += 1;
                self.accepted_by_class[class as usize] += 1;
            }
            self.subset_one += report.accepted;
            self.subset_two += report.split - report.accepted;
        }
        Ok(report)
    }

    pub fn add_undecodable(&mut self, face_id: String) {
        self.undecodable.insert(face_id);
    }

    pub fn mean_losses(&self) -> Vec<(String, f64)> {
        self.losses.iter().map(|(name, sum)| (name.clone(), sum / self.steps.max(1) as f64)).collect()
    }

    pub fn acceptance_rate(&self) -> Option<f64> {
        let split = self.subset_one + self.subset_two;
        (split > 0).then(|| self.subset_one as f64 / split as f64)
    }

    pub fn subset_one(&self) -> u64 {
        self.subset_one
    }

    pub fn subset_two(&self) -> u64 {
        self.subset_two
    }

    pub fn waiting_seconds(&self) -> f64 {
        self.waiting_seconds
    }

    pub fn accepted_by_class(&self) -> &[u64] {
        &self.accepted_by_class
    }

    pub fn undecodable(&self) -> Vec<String> {
        self.undecodable.iter().cloned().collect()
    }
}
