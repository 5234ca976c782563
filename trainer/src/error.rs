//! What can go wrong, grouped by whose problem it is: the user's settings, the data, the environment, or a bug.

use std::path::{Path, PathBuf};

/// Faces that a message names before it only counts them.
const NAMED_FACES: usize = 64;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that stops training or scoring. An undecodable face is not here: it is counted and skipped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // The user's settings.
    /// A setting outside its range.
    #[error("setting `{key}` is {value}; valid: {valid}")]
    Setting { key: &'static str, value: String, valid: String },
    /// No method of that name.
    #[error("no method is called `{name}`; known methods: {known}")]
    UnknownMethod { name: String, known: String },
    /// No backbone of that name.
    #[error("no backbone is called `{name}`; known backbones: {known}")]
    UnknownBackbone { name: String, known: String },
    /// A checkpoint that another configuration made.
    #[error(
        "the checkpoint {path} was made with {what} {found}, this round wants {wanted}: set `{what}` back, or start from scratch"
    )]
    Incompatible { path: PathBuf, what: &'static str, found: String, wanted: String },

    // The data.
    /// A set that must have faces has none.
    #[error("the {set} set has no faces: {remedy}")]
    NoFaces { set: &'static str, remedy: &'static str },
    /// Many faces in a row could not be decoded.
    #[error("{attempts} faces of the {set} set in a row could not be decoded (the last: {face_id}): check the source")]
    Undecodable { set: &'static str, attempts: usize, face_id: String },
    /// A label outside the class list.
    #[error("face {face_id} has class number {class}, but there are {classes} classes")]
    ClassOutOfRange { face_id: String, class: usize, classes: usize },
    /// A target that does not share one face among the classes.
    #[error(
        "face {face_id} has target {target:?}; a target is {classes} numbers, one per class, 0 or more and not all 0"
    )]
    BadTarget { face_id: String, target: Vec<f32>, classes: usize },
    /// A weight that is not a positive finite number.
    #[error("face {face_id} has sampling weight {weight}; a weight is a number above 0")]
    BadWeight { face_id: String, weight: f64 },
    /// The source gave another number of images than asked for.
    #[error("the face source returned {found} images for {wanted} indices")]
    ShortSource { wanted: usize, found: usize },
    /// A weights or checkpoint file that does not hold what it must.
    #[error("{path}: {problem}")]
    File { path: PathBuf, problem: String },

    // The environment.
    /// A device that is not there, or that this program was not built for.
    #[error("device `{device}` cannot be used: {problem}; `device = \"cpu\"` always works")]
    NoDevice { device: String, problem: String },
    /// Reading or writing a file failed.
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    /// The face source failed.
    #[error("reading faces failed: {0}")]
    Source(Box<dyn std::error::Error + Send + Sync>),
    /// The thread pool could not be made.
    #[error("cannot start {threads} threads: {problem}")]
    Threads { threads: usize, problem: String },
    /// Training was told to stop.
    #[error("training was cancelled")]
    Cancelled,

    // The numbers, and bugs.
    /// The loss is no longer a number. [`crate::Training`] makes a [`Error::NotFinite`] of it, which knows more.
    #[error("the loss became {loss} in epoch {epoch}, step {step}: lower `learning_rate`")]
    Diverged { epoch: u32, step: u32, loss: f64 },
    /// A step made something that is not a finite number. Nothing of it is saved.
    #[error(
        "{what} in epoch {epoch}, step {step}: lower `learning_rate`, or look at the faces of that step ({}); {}",
        some_of(faces),
        last_good_in_words(last_good.as_deref())
    )]
    NotFinite {
        /// What happened to which number.
        what: String,
        epoch: u32,
        step: u32,
        /// Ids of the step's faces, labelled ones first.
        faces: Vec<String>,
        /// The folder of the last checkpoint that was saved or started from.
        last_good: Option<PathBuf>,
    },
    /// Weights that are not finite numbers were about to be saved.
    #[error("`{tensor}` holds values that are not finite numbers: {path} is left as it was")]
    NotSaved { tensor: String, path: PathBuf },
    /// The loader thread ended without saying why.
    #[error("the loader thread ended early (a bug; please report it)")]
    LoaderEnded,
    /// A tensor operation failed.
    #[error("tensor operation failed (a bug; please report it): {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, problem: impl std::fmt::Display) -> Error {
        Error::File { path: path.into(), problem: problem.to_string() }
    }
}

/// The first of many ids; a message is for people, and the error has them all.
fn some_of(faces: &[String]) -> String {
    match faces.get(NAMED_FACES..) {
        Some(more) if !more.is_empty() => format!("{} and {} more", faces[..NAMED_FACES].join(", "), more.len()),
        _ => faces.join(", "),
    }
}

fn last_good_in_words(checkpoint: Option<&Path>) -> String {
    match checkpoint {
        Some(folder) => format!("the last good checkpoint is {}", folder.display()),
        None => "no checkpoint was saved before".to_owned(),
    }
}
