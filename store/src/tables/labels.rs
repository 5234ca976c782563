//! `labels`: one row per judgement, append only. Taking one back is a row too, so that the history stays whole.

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One judgement.
    Label in Labels {
        /// UUID version 7.
        label_id: String,
        /// The face judged.
        face_id: String,
        /// Class name; null where the row is a verdict or takes one back.
        expression: Option<String>,
        /// `not_a_face`, `unsure` or `skip`; null where an expression is given.
        verdict: Option<String>,
        /// Votes by class where an import brought a distribution.
        votes: Option<Vec<u32>>,
        /// Who judged.
        annotator: String,
        /// `human`, `import` or `simulated`.
        origin: String,
        /// Where the judgement was made: `queue`, `audit`, `grid`, `review`, `cli` or `import`.
        lane: String,
        /// The round whose queue showed the face.
        round: Option<u32>,
        /// The class that was suggested, if one was shown.
        suggestion: Option<String>,
        /// The sighting that gave the label, for imports: one annotator may see one face under several names.
        source: Option<String>,
        /// Free text.
        note: Option<String>,
        /// The client's idempotency key.
        request_key: Option<String>,
        /// BLAKE3 of the request that came with the key.
        request_hash: Option<String>,
        /// Seconds the annotator took.
        seconds: Option<f32>,
        /// When it was made.
        created_at: Timestamp,
        /// The label this row takes back.
        retracts: Option<String>,
    }
}
