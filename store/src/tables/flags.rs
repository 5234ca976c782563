//! `flags`: faces that somebody wants looked at, with why, append only. A flag is no judgement: it changes no label, and no
//! label takes it away.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One flag set on a face, or taken off.
    Flag in Flags {
        /// UUID version 7.
        flag_id: String,
        /// The face.
        face_id: String,
        /// Who set it, or took it off.
        annotator: String,
        /// Why; null where the row takes one off.
        note: Option<String>,
        /// When.
        created_at: Timestamp,
        /// The flag that this row takes off.
        retracts: Option<String>,
    }
}
