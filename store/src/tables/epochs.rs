//! `epochs`: what one epoch of training measured.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One training epoch.
    Epoch in Epochs {
        /// The round.
        round: u32,
        /// Epoch within the round, from 1.
        epoch: u32,
        /// Optimiser steps in it.
        steps: u64,
        /// Mean total loss.
        loss: f32,
        /// Mean supervised cross-entropy, Eq. 3.
        loss_supervised: f32,
        /// Mean unlabelled loss, Eq. 4.
        loss_unlabelled: f32,
        /// Mean contrastive loss.
        loss_contrastive: f32,
        /// Learning rate.
        learning_rate: f64,
        /// Share of unlabelled samples that fell into subset I.
        acceptance_rate: f32,
        /// Unlabelled samples in subset I, over all steps.
        subset_one: u64,
        /// Unlabelled samples in subset II, over all steps.
        subset_two: u64,
        /// Accuracy of the teacher on the labelled set, fraction.
        labelled_accuracy: f32,
        /// Accuracy of the teacher on the validation split, fraction; null without one.
        validation_accuracy: Option<f32>,
        /// Macro-F1 on the validation split, fraction.
        validation_macro_f1: Option<f32>,
        /// Mean negative log-likelihood on the validation split; null in epochs of older versions, as the next four.
        validation_nll: Option<f32>,
        /// Mean Brier score on the validation split.
        validation_brier: Option<f32>,
        /// Expected calibration error on the validation split, bins of equal width.
        validation_ece: Option<f32>,
        /// The same over bins of equal mass.
        validation_ece_equal_mass: Option<f32>,
        /// Temperature fitted on the validation split; null where none is best.
        temperature: Option<f32>,
        /// Wall-clock seconds.
        seconds: f64,
        /// When it ended.
        finished_at: Timestamp,
    }
}
