//! What can go wrong for a whole call, grouped by whose problem it is: the user's words, the data, the environment.
//!
//! One bad image is not an error: it is a [`Reject`](crate::Reject) with a [`Reason`](crate::Reason), and the rest of
//! the data goes on. Every message says what to do or what the valid choices are.

use std::path::PathBuf;

use crate::reject::Reason;

/// Result of this crate's calls.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // What the user wrote.
    #[error(
        "these classes do not work: {problem} (got {names}); give two or more different names, such as neutral,happiness,anger"
    )]
    InvalidClasses { names: String, problem: String },
    #[error("unknown class `{text}`{place}; the classes are {known}")]
    UnknownClass { text: String, place: Place, known: String },
    #[error("`{class}` is an expression, but not a class here{place}; the classes are {known}")]
    ClassNotInCorpus { class: String, place: Place, known: String },
    #[error(
        "the number `{text}`{place} is not a class: every data set numbers its classes differently; say which one it is with --class-map NAME ({known})"
    )]
    NumberAsClass { text: String, place: Place, known: String },
    #[error("label {number}{place} does not exist in the class map `{map}`, which knows {known}{hint}")]
    NumberNotInClassMap { number: i64, place: Place, map: &'static str, known: String, hint: &'static str },
    #[error("unknown class map `{name}`; the class maps are {known}")]
    UnknownClassMap { name: String, known: String },
    #[error("unknown data set format `{name}`; the formats are {known}")]
    UnknownReader { name: String, known: String },
    #[error("the format `{reader}` has no option `{name}`; {known}")]
    UnknownOption { reader: &'static str, name: String, known: String },
    #[error("`{text}` is no option; write NAME=VALUE, such as frames=3")]
    InvalidOption { text: String },
    #[error("the option `{name}` cannot be `{value}`; it takes {valid}")]
    InvalidOptionValue { name: &'static str, value: String, valid: String },
    #[error("`{text}` is no split; the splits are train, validation and test")]
    UnknownSplit { text: String },
    #[error("`{text}` is no label budget; write all, a total such as 400, per-class:N or ada-cm:N, with N at least 1")]
    InvalidLabelBudget { text: String },
    #[error(
        "`{text}` cannot be held out; write SPLIT:P%, such as validation:10%, with a percentage above 0 and below 100"
    )]
    InvalidHoldOut { text: String },
    #[error(
        "class `{class}` has {available} faces, but {wanted} labels are asked of it; ask for fewer labels or add faces of that class"
    )]
    TooFewInClass { class: String, wanted: usize, available: usize },
    #[error("{wanted} labels are asked for, but there are only {available} labelled faces")]
    TooFewFaces { wanted: usize, available: usize },

    // What the data holds.
    #[error("{path}: not something that `{reader}` reads; it takes {expected}", path = .path.display())]
    NotADataset { path: PathBuf, reader: &'static str, expected: &'static str },
    #[error("{path}: {what}; {instead}", path = .path.display())]
    NotThisPart { path: PathBuf, what: &'static str, instead: &'static str },
    #[error("{path}: {problem}; both files have to be the published ones, row for row", path = .path.display())]
    RowsDoNotMatch { path: PathBuf, problem: String },
    #[error("{path}: no format recognises this{hint}; name the format. These were looked for:{looked_for}", path = .path.display())]
    NotRecognised { path: PathBuf, hint: String, looked_for: String },
    #[error("{path}: several formats recognise this, say which one it is:{candidates}", path = .path.display())]
    Ambiguous { path: PathBuf, candidates: String },
    #[error("{path}: no column {wanted}; the columns are {found}", path = .path.display())]
    MissingColumn { path: PathBuf, wanted: &'static str, found: String },
    #[error("{path}: this table is larger than {limit} bytes; unpack the archive into a folder and read that", path = .path.display())]
    TableTooLarge { path: PathBuf, limit: u64 },
    #[error("{path}: this table cannot be read: {source}", path = .path.display())]
    Table { path: PathBuf, source: csv::Error },
    #[error("{path}: this is not JSON as Label Studio exports it: {source}", path = .path.display())]
    Json { path: PathBuf, source: serde_json::Error },
    #[error("{path}: this archive is damaged or incomplete: {source}; fetch it again or check it with its own tool", path = .path.display())]
    Archive { path: PathBuf, source: std::io::Error },

    // What the machine did.
    #[error("{path}: {reason}", path = .path.display())]
    Unreadable { path: PathBuf, reason: Reason },
    #[error("{path}: {source}", path = .path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// Where a class was met (a folder or a row), or nowhere in particular. Displays with its leading words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place(pub Option<String>);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(place) => write!(f, " in {place}"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// The same error, saying where the class was met. Errors about anything else pass unchanged.
    pub(crate) fn met_in(mut self, at: impl Into<String>) -> Self {
        match &mut self {
            Self::UnknownClass { place, .. }
            | Self::ClassNotInCorpus { place, .. }
            | Self::NumberAsClass { place, .. }
            | Self::NumberNotInClassMap { place, .. } => *place = Place(Some(at.into())),
            _ => {}
        }
        self
    }

    /// An input or output error at `path`, for `map_err`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
