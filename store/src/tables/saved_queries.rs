//! `saved_queries`: queries that people keep under a name, append only: the latest row of a name counts.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One query saved, changed, or removed.
    SavedQuery in SavedQueries {
        /// What it is called.
        name: String,
        /// Its text; null where the row removes it.
        sql: Option<String>,
        /// Who saved it.
        author: String,
        /// When.
        saved_at: Timestamp,
    }
}
