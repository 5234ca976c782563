//! `queue_entries`: the materialised top of a round's queue, written before the marker.

use crate::table::table;

table! {
    /// One place in the top of a round's queue.
    QueueEntry in QueueEntries {
        /// The round.
        round: u32,
        /// The face.
        face_id: String,
        /// Place, from 1.
        rank: u32,
        /// `queue`, or `audit` for the random sample of subset I that is shown without a suggestion.
        lane: String,
        /// Class of the pseudo-label that an audit checks; null in lane `queue`.
        expression: Option<String>,
        /// Why it stands there, for people.
        reason: String,
    }
}
