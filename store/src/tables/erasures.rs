//! `erasures`: that faces were forgotten, and what it cost. Not whose: the ids are gone.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One time that faces were forgotten.
    Erasure in Erasures {
        /// When.
        erased_at: Timestamp,
        /// How many faces.
        faces: u64,
        /// Rows removed with them, of all tables.
        rows: u64,
        /// Rounds that cannot be looked back at any more, because they saw a face of them.
        rounds: Option<Vec<u32>>,
        /// Reason given, as given.
        reason: Option<String>,
    }
}
