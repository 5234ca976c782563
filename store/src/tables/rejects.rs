//! `rejects`: what was refused, why and when. Bad input is a row here, never an error.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One refused input.
    Reject in Rejects {
        /// Path or record, as in `sightings`.
        source: String,
        /// Short stable code, such as `truncated`.
        code: String,
        /// The reason for people.
        reason: String,
        /// Data set or stream it was read as.
        dataset: String,
        /// When.
        rejected_at: Timestamp,
    }
}
