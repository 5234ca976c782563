//! `margins`: Eq. 1 and Eq. 2 as they were measured, one row per round, epoch and class.

use crate::table::table;

table! {
    /// One class's margin after one epoch.
    Margin in Margins {
        /// The round.
        round: u32,
        /// Epoch within the round, from 1.
        epoch: u32,
        /// Training epochs so far, the `t` of Eq. 2.
        t: u32,
        /// Class name.
        expression: String,
        /// Mean confidence of the labelled samples predicted so and right, T_c of Eq. 1; null without such a sample.
        mean_confidence: Option<f32>,
        /// The margin for the next epoch, Eq. 2 with floor and settings.
        margin: f32,
        /// How many labelled samples were predicted so and right.
        right_count: u64,
    }
}
