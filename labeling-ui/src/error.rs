//! Everything that can go wrong where people judge, sorted by whose problem it is.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // The user's.
    /// A class that the corpus does not have.
    #[error("no class {given} in this corpus; it has {known}, and the verdicts not_a_face, unsure and skip")]
    UnknownExpression {
        /// As given.
        given: String,
        /// Which there are.
        known: String,
    },
    /// An annotator without a name.
    #[error("an annotator needs a name; pass --annotator NAME")]
    NoAnnotator,

    // The store's, which sorts its own.
    /// The store failed.
    #[error(transparent)]
    Store(#[from] marginalia_store::Error),
}
