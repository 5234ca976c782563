//! `predictions`: one row per face and round, written before the round's marker (arrivals: after it).

use crate::columns::Timestamp;
use crate::table::table;

table! {
    /// One face scored by one round's teacher.
    Prediction in Predictions {
        /// The round whose teacher scored it.
        round: u32,
        /// The face.
        face_id: String,
        /// Most probable class.
        expression: String,
        /// Mean softmax of that class over the weak views, 0 to 1.
        confidence: f32,
        /// The margin of that class when it was split (Eq. 2).
        margin: f32,
        /// `I` where confidence is at or above the margin, else `II`.
        subset: String,
        /// Mean softmax over the weak views, in the corpus's class order.
        probabilities: Vec<f32>,
        /// Entropy of the probabilities, nats.
        entropy: f32,
        /// Difference of the two largest probabilities.
        top2_gap: f32,
        /// Confidence after temperature scaling on the validation split, where there is one.
        calibrated_confidence: Option<f32>,
        /// How much dropout makes the teacher disagree with itself (BALD), nats; null in rounds of older versions.
        mutual_information: Option<f32>,
        /// When it was scored.
        scored_at: Timestamp,
    }
}
