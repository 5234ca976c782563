//! What an experiment cannot be asked for; all of it is known before the first run.

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// No study of that name.
    #[error("no study is called {name}; there are {known}")]
    UnknownStudy {
        /// As written.
        name: String,
        /// Those there are.
        known: String,
    },
    /// An arm that its study does not have.
    #[error("{study} has no arm {name}; it has {known}")]
    UnknownArm {
        /// Which study.
        study: &'static str,
        /// As written.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A data set of an experiment that does not read.
    #[error("`{text}` names no data set; {form}")]
    UnreadableDataSet {
        /// As written.
        text: String,
        /// How to write one.
        form: &'static str,
    },
    /// A budget that a data set cannot fill.
    #[error("{labels} is too much for {dataset}: {source}")]
    TooFewLabels {
        /// Which data set.
        dataset: String,
        /// The budget.
        labels: String,
        /// What it lacks.
        source: marginalia_datasets::Error,
    },
    /// A data set whose labels cannot be hidden.
    #[error(
        "{dataset} is a corpus, whose labels cannot be hidden for a simulation; name its files (--dataset FORMAT:PATH)"
    )]
    NothingToHide {
        /// Which.
        dataset: String,
    },
    /// Nothing to measure on.
    #[error("{study} measures on other data sets than it trains on; name at least two with --dataset")]
    TooFewDataSets {
        /// Which study.
        study: &'static str,
    },
    /// A data set that lacks what it is trained or measured on.
    #[error(
        "{dataset} has no labelled face of split {split}; name its parts (--dataset FORMAT:TRAIN,test=TEST, or FORMAT:test=PATH to \
         measure on all of it in table2), or make a corpus of it (`marginalia import … --hold-out test:20%`) and name that \
         (--dataset corpus:DIR)"
    )]
    NoFacesOfSplit {
        /// Which data set.
        dataset: String,
        /// Which split.
        split: &'static str,
    },
}
