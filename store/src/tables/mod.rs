//! The tables, one file each: what one row is and what every column means.

pub mod embeddings;
pub mod epochs;
pub mod erasures;
pub mod faces;
pub mod labels;
pub mod margins;
pub mod predictions;
pub mod queue_entries;
pub mod rejects;
pub mod rounds;
pub mod sightings;
pub mod tokens;
pub mod tombstones;
pub mod truth;
