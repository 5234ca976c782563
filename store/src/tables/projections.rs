//! `projections`: where each face stands on the map of its round.

use crate::table::table;

table! {
    /// One face's place on the map of one round: its feature in two dimensions, neighbours near each other.
    Projection in Projections {
        /// The round.
        round: u32,
        /// The face.
        face_id: String,
        /// From left to right; the map is centred, its unit means nothing.
        x: f32,
        /// From bottom to top.
        y: f32,
    }
}
