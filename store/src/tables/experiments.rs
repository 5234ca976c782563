//! `experiments`: what was measured at the end of a run of an experiment; a run that stands here is not run again.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One run of an experiment, measured on one data set.
    Experiment in Experiments {
        /// BLAKE3 of all that decides the result: faces, labels, seed and settings.
        run: String,
        /// The study that ran it first: table1, table2, ablation or active-learning.
        study: String,
        /// What is compared: a method, a change to one, or an order of the queue.
        arm: String,
        /// Data set that it trained on.
        dataset: String,
        /// Label budget, as per-class:25.
        labels: String,
        /// Labelled faces.
        labelled: u64,
        /// Unlabelled faces.
        unlabelled: u64,
        /// Seed of the draw of labels and of the training.
        seed: u64,
        /// Data set that it was measured on, with its state where that is another one, as ferplus@9c04f1a2b3d5.
        target: String,
        /// Faces measured.
        faces: u64,
        /// Faces of classes that the other data set lacks: not measured.
        left_out: u64,
        /// Share of right predictions by the EMA model of the last epoch.
        accuracy: f64,
        /// Mean F1 over the classes measured.
        macro_f1: f64,
        /// The most frequent class of the faces measured.
        baseline_class: String,
        /// Accuracy of answering that class always.
        baseline_accuracy: f64,
        /// Macro-F1 of answering that class always.
        baseline_macro_f1: f64,
        /// F1 by class, as a JSON object.
        per_class: String,
        /// What was measured on the way, a JSON array with an object per epoch, or per round of a simulation.
        curve: String,
        /// Settings of the training, as JSON.
        config: String,
        /// BLAKE3 of the model's file.
        checkpoint_hash: String,
        /// Command line that ran it.
        command: String,
        /// Version of this program.
        version: String,
        /// Wall-clock seconds of the training.
        seconds: f64,
        /// When it was recorded.
        finished_at: Timestamp,
    }
}
