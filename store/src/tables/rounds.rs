//! `rounds`: the commit marker. A round is visible if and only if its row stands here.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One finished round.
    Round in Rounds {
        /// Number, from 1.
        round: u32,
        /// Method's name.
        method: String,
        /// Seed of every random stream of the round.
        seed: u64,
        /// The resolved configuration, JSON.
        config: String,
        /// The curriculum's SQL texts as they ran, JSON.
        curriculum: String,
        /// Version of every table that the round read, JSON.
        read_versions: String,
        /// Version of every table when the marker was written, JSON: the state that `--at-round` shows.
        written_versions: String,
        /// What started it: `faces`, `labels`, `time` or `manual`.
        trigger: String,
        /// Labelled faces trained on.
        labelled: u64,
        /// Unlabelled faces trained on.
        unlabelled: u64,
        /// All unlabelled faces of the corpus at the time.
        pool: u64,
        /// Faces scored.
        scored: u64,
        /// Of these in subset I.
        subset_one: u64,
        /// Of these in subset II.
        subset_two: u64,
        /// Faces of the validation split.
        validation: u64,
        /// Accuracy on it, last epoch's teacher.
        validation_accuracy: Option<f32>,
        /// Macro-F1 on it, last epoch's teacher.
        validation_macro_f1: Option<f32>,
        /// Best macro-F1 of any epoch on it: the second number.
        validation_best_macro_f1: Option<f32>,
        /// Temperature fitted on it.
        temperature: Option<f32>,
        /// Whether the gate let the checkpoint through.
        accepted: bool,
        /// Why, for people.
        gate: String,
        /// Folder of the checkpoint, relative to the corpus.
        checkpoint: String,
        /// BLAKE3 of `teacher.safetensors`.
        checkpoint_hash: String,
        /// When it started.
        started_at: Timestamp,
        /// When it ended.
        finished_at: Timestamp,
    }
}
