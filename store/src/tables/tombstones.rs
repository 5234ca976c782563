//! `tombstones`: which bytes are not taken in again. A keyed hash, so that the table does not tell whose they were.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One face that was forgotten.
    Tombstone in Tombstones {
        /// BLAKE3 of the face's id under the corpus's own key.
        hash: String,
        /// When it was forgotten.
        erased_at: Timestamp,
    }
}
