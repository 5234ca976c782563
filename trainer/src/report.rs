//! Sums over the steps of an epoch, from which its report is made.

use std::collections::BTreeSet;

use crate::Result;
use crate::methods::{Loss, value};
use crate::training::StepReport;

/// What has been seen in an epoch so far.
pub(crate) struct Tally {
    steps: u64,
    /// Sums by name, in the order the method gives them.
    losses: Vec<(String, f64)>,
    subset_one: u64,
    subset_two: u64,
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
            accepted_by_class: vec![0; classes],
            undecodable: BTreeSet::new(),
        }
    }

    /// Adds a step's loss, and completes its report.
    pub fn add_step(&mut self, loss: &Loss, mut report: StepReport) -> Result<StepReport> {
        self.steps += 1;
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

    pub fn accepted_by_class(&self) -> &[u64] {
        &self.accepted_by_class
    }

    pub fn undecodable(&self) -> Vec<String> {
        self.undecodable.iter().cloned().collect()
    }
}
