//! `embeddings`: features of the latest accepted round, for similarity and diversity.

use crate::columns::Feature;
use crate::table::table;

table! {
    /// One face's feature under one round's teacher.
    Embedding in Embeddings {
        /// The round.
        round: u32,
        /// The face.
        face_id: String,
        /// L2-normalised feature, float16.
        feature: Feature,
    }
}
