//! Everything that can go wrong where people judge, sorted by whose problem it is.

use std::net::SocketAddr;

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
    /// Faces that the corpus does not have.
    #[error("no face {}{} in this corpus", faces.first().map_or("", String::as_str), others(faces))]
    UnknownFaces {
        /// Which.
        faces: Vec<String>,
    },
    /// A judgement that cannot be what its sender meant.
    #[error("{field}: {problem}")]
    InvalidJudgement {
        /// Which part of it.
        field: &'static str,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A flag without a note that can be kept.
    #[error("note: {problem}")]
    InvalidFlag {
        /// What would be right.
        problem: String,
    },
    /// A flag that is not set.
    #[error("no flag {flag_id} is set; the view flagged has those that are")]
    NoSuchFlag {
        /// As given.
        flag_id: String,
    },
    /// A query that cannot be kept.
    #[error("{problem}")]
    InvalidQuery {
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A query that nobody keeps.
    #[error("no query is kept under the name {name}; GET /api/queries lists those that are")]
    NoSuchQuery {
        /// As given.
        name: String,
    },
    /// An idempotency key that came before, with something else.
    #[error("the key {key} came before with another request; give every new request a key of its own")]
    ReusedKey {
        /// The key.
        key: String,
    },
    /// An address that others can reach, while nobody needs a token.
    #[error(
        "{address} can be reached from other machines, and no token exists that would tell who asks; make one, or serve \
         on 127.0.0.1"
    )]
    NeedsTokens {
        /// As given.
        address: SocketAddr,
    },

    // The environment's.
    /// An address that cannot be listened on.
    #[error("{address}: {source}; is another program listening there?")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },

    // Ours.
    /// Something that cannot be, was.
    #[error("bug: {what}; please report it with the command that led here")]
    Internal {
        /// What.
        what: String,
    },

    // The store's, which sorts its own.
    /// The store failed.
    #[error(transparent)]
    Store(#[from] marginalia_store::Error),
}

fn others(faces: &[String]) -> String {
    match faces.len() {
        0 | 1 => String::new(),
        n => format!(" (nor {} others)", n - 1),
    }
}
