//! Everything that can stop a command, sorted by whose problem it is, and the exit code each one ends with.
//!
//! The user asked for something that cannot be; the environment failed; or a crate below says what went wrong in its own
//! words. Bad input among the faces is none of these: it is refused with a reason, and the stream goes on.

mod cluster;
mod exit_code;
mod experiment;
mod place;

use std::path::PathBuf;

pub use cluster::ClusterError;
pub use exit_code::exit_code;
pub use experiment::ExperimentError;
pub use place::Place;

/// Result of the pipeline.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a command stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // The user's.
    /// The config file is not TOML, or a value has the wrong type.
    #[error("{place}: {message}")]
    ConfigSyntax {
        /// File and line.
        place: Place,
        /// The parser's words, with the line in question.
        message: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key `{key}` {section}; {hint}")]
    UnknownKey {
        /// File and line.
        place: Place,
        /// As written.
        key: String,
        /// Where it was written, in words: `in section [ingest]` or `at the top level`.
        section: String,
        /// The nearest known key, or the valid ones.
        hint: String,
    },
    /// A value outside its range.
    #[error("{place}: `{key}` is {value}; valid: {valid}")]
    Setting {
        /// File and line.
        place: Place,
        /// Section and key.
        key: String,
        /// As written.
        value: String,
        /// What would be.
        valid: String,
    },
    /// A duration that does not read.
    #[error("`{text}` is no duration; write a number with s, m, h or d, such as 90s, 10m or 1h30m, of at least 1s")]
    InvalidDuration {
        /// As written.
        text: String,
    },
    /// The folder that was named holds no corpus.
    #[error("{origin} names {path}, which {problem}; `marginalia init {path}` makes a corpus there", path = .path.display())]
    NotACorpus {
        /// Who named it: `--corpus` or `MARGINALIA_CORPUS`.
        origin: &'static str,
        /// As named.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No corpus was named and none is near.
    #[error(
        "no corpus: neither {path} nor a folder above it holds marginalia.toml; \
         name one with --corpus DIR or MARGINALIA_CORPUS, or make one with `marginalia init DIR`",
        path = .path.display()
    )]
    NoCorpusAbove {
        /// Where the search began.
        path: PathBuf,
    },
    /// A path to read faces from that is not there.
    #[error("{path}: no such file or folder", path = .path.display())]
    MissingInput {
        /// As given.
        path: PathBuf,
    },
    /// Synthetic rows are not mixed with real ones.
    #[error("{corpus} has {faces} faces; make an empty corpus for this with `marginalia init DIR`")]
    HasFaces {
        /// Where.
        corpus: String,
        /// How many.
        faces: u64,
    },
    /// A command that the prompt does not have.
    #[error("no command {command}; \\? lists them")]
    NoSuchCommand {
        /// As typed.
        command: String,
    },
    /// A table or view that is not there.
    #[error("no table or view {name}; \\d lists them")]
    NoSuchTable {
        /// As typed.
        name: String,
    },
    /// A form of answers that no terminal shows.
    #[error("{format} is no text; name a file first: \\o FILE")]
    BinaryOnTerminal {
        /// Which.
        format: &'static str,
    },
    /// A text of the curriculum that does not work.
    #[error("curriculum: {file}: {problem}")]
    Curriculum {
        /// Its file, or the name of one that is shipped.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing to learn from.
    #[error(
        "{labelled} labelled faces are too few to train on; label some (`marginalia label FACE_ID EXPRESSION`) or import \
         a labelled data set (`marginalia import FORMAT PATH`)"
    )]
    NoLabels {
        /// How many there are.
        labelled: usize,
    },
    /// Nothing to score or evaluate with.
    #[error("no round has been accepted yet, so there is no teacher; run `marginalia train`, or pass --checkpoint")]
    NoTeacher,
    /// A data set without a labelled face.
    #[error("no labelled face was read, so there is nothing to measure; check the format, the split and the class map")]
    NothingToEvaluate,
    /// Images that cannot be predicted.
    #[error("{refused} of {of} images were refused; the reasons stand beside them")]
    ImagesRefused {
        /// How many.
        refused: usize,
        /// Of how many.
        of: usize,
    },
    /// The config's classes are not the corpus's.
    #[error(
        "marginalia.toml names the classes {config}, but this corpus was made with {corpus}; classes are fixed by `init`: \
         put the old list back, or make a new corpus and import there"
    )]
    ClassesChanged {
        /// As in the config.
        config: String,
        /// As in the tables.
        corpus: String,
    },

    /// A folder that is in use for something else.
    #[error("{path} is not empty, and what is there is no export; name a folder that does not exist", path = .path.display())]
    NotAnExport {
        /// Which.
        path: PathBuf,
    },
    /// A folder with an export that cannot be gone on with.
    #[error(
        "{path} holds {} export of format {format}; name another folder{}", if *finished { "a finished" } else { "an unfinished" },
        if *finished { "" } else { ", or repeat the command that began it with the same options" }, path = .path.display()
    )]
    AnotherExport {
        /// Which.
        path: PathBuf,
        /// Its format.
        format: String,
        /// Whether it is whole.
        finished: bool,
    },
    /// An export that was broken off too long ago, or after which a face was forgotten.
    #[error("{path}: the state of the corpus that this export began with is gone ({source}); begin again in another folder", path = .path.display())]
    ExportedStateGone {
        /// Which.
        path: PathBuf,
        /// What the store says.
        source: Box<marginalia_store::Error>,
    },

    /// A certificate or key that is none.
    #[error("{path}: {problem}; --tls-cert and --tls-key take PEM files, a certificate (with its chain) and its private key", path = .path.display())]
    Tls {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Everybody in the network would get in.
    #[error(
        "{address} can be reached from other machines, and no token is good; make one (`marginalia token create NAME \
         --role reader`), or listen on 127.0.0.1"
    )]
    OpenDoor {
        /// Where it would have listened.
        address: std::net::SocketAddr,
    },
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {source}; name HOST:PORT with a port that is free")]
    Listen {
        /// As given.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A split by person of faces that nobody has a name for.
    #[error("the data set does not say who is on its faces, so they cannot be split by person: leave --split-by out")]
    NoSubjects,
    /// Nothing to read faces from.
    #[error("no file or folder was given to read faces from; name at least one")]
    NoInput,

    // The data's.
    /// A checkpoint of other classes.
    #[error("{path}: a checkpoint of the classes {found}; this corpus has {expected}", path = .path.display())]
    ForeignCheckpoint {
        /// Which.
        path: PathBuf,
        /// Its classes.
        found: String,
        /// The corpus's.
        expected: String,
    },
    /// A round's plan that does not read.
    #[error("the plan of round {round} does not read: {source}")]
    Plan {
        /// Which round.
        round: u32,
        /// Why.
        source: serde_json::Error,
    },
    /// A round's reports that do not read.
    #[error("{path}: {source}", path = .path.display())]
    Progress {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// `verify` found something.
    #[error("{findings} findings; `marginalia verify --repair` mends what can be mended, a backup has the rest")]
    VerifyFound {
        /// How many.
        findings: usize,
    },
    /// A round that did not come out as it did the first time.
    #[error(
        "round {round} did not come out the same: other threads, another machine or another build compute in another order; \
         on the same ones it is a fault worth reporting"
    )]
    ReplayDiffers {
        /// The round.
        round: u32,
    },
    /// Images that a round needs and cannot get.
    #[error("reading images of the round failed: {source}")]
    Images {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The demo's split said nothing.
    #[error("subset I of the last round was {what}: the margin told nothing")]
    DemoFailed {
        /// `empty` or `everything`.
        what: &'static str,
    },

    // The environment's.
    /// Reading or writing failed.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The process cannot listen for Ctrl-C.
    #[error("cannot listen for Ctrl-C and SIGTERM: {0}")]
    Signals(std::io::Error),
    /// Told to stop before the work was done; what was acknowledged is kept.
    #[error("{what} was stopped before it was done; run the command again to go on")]
    Interrupted {
        /// What was stopped.
        what: &'static str,
    },

    /// The prompt cannot use the terminal.
    #[error("the prompt failed: {source}")]
    Prompt {
        /// Why.
        source: rustyline::error::ReadlineError,
    },

    // Ours.
    /// A task of ours ended by panicking.
    #[error("bug: a task ended early ({0}); please report it with the command that led here")]
    Task(tokio::task::JoinError),
    /// The computing thread ended by panicking.
    #[error("bug: the computing thread panicked; the message stands above; please report it")]
    ComputingPanicked,
    /// A result that cannot be printed.
    #[error("bug: the result cannot be written as JSON: {source}")]
    Output {
        /// Why.
        source: serde_json::Error,
    },
    /// A column is not of the type its query gives it.
    #[error("bug: {what}; please report it with the command that led here")]
    Internal {
        /// What.
        what: String,
    },

    // Those of what an experiment is asked, of machines beside this one, and of the crates below.
    /// Of an experiment.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// Of the cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Of SQL over an import.
    #[error(transparent)]
    DataFusion(#[from] datafusion::error::DataFusionError),
    /// Of record batches.
    #[error(transparent)]
    Arrow(#[from] datafusion::arrow::error::ArrowError),
    /// Of judging.
    #[error(transparent)]
    Judging(#[from] marginalia_labeling_ui::Error),
    /// Of the store.
    #[error(transparent)]
    Store(#[from] marginalia_store::Error),
    /// Of the trainer.
    #[error(transparent)]
    Trainer(#[from] marginalia_trainer::Error),
    /// Of the data sets.
    #[error(transparent)]
    Datasets(#[from] marginalia_datasets::Error),
}

impl Error {
    /// Names the file an input or output error belongs to, for `map_err`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// For `map_err` on a joined task.
    pub fn task(error: tokio::task::JoinError) -> Self {
        Self::Task(error)
    }
}
