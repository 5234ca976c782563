//! `audit_log`: who changed what, beside what says so itself: labels, flags, sightings, rounds. Append only; names no face, so
//! that forgetting one leaves nothing here.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One change that somebody asked for: a round begun or given up, a token made or taken back, faces forgotten, an export, a
    /// query kept.
    AuditEntry in AuditLog {
        /// When.
        changed_at: Timestamp,
        /// Who: the name of a token, or of the machine's user.
        actor: String,
        /// `admin`, `annotator` or `reader`.
        role: String,
        /// `http` or `cli`.
        door: String,
        /// What, as `round_asked`, `round_given_up`, `token_created`, `token_revoked`, `faces_forgotten`, `exported`,
        /// `query_saved`, `query_deleted`.
        action: String,
        /// Of what: a token's name, a round's number, a query's name; none where there is nothing to name.
        target: Option<String>,
        /// More of it, for people.
        detail: Option<String>,
    }
}
