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
        /// `queue`, `audit` for the random sample of subset I, or `review` for labelled faces that want another judgement; the
        /// last two are shown without a suggestion.
        lane: String,
        /// Class of the pseudo-label that an audit checks, or of the label that is in doubt; null in lane `queue`.
        expression: Option<String>,
        /// Why it stands there, for people.
        reason: String,
    }
}
