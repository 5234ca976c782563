//! The tables, one file each: what one row is and what every column means.

pub mod audit_log;
pub mod embeddings;
pub mod epochs;
pub mod erasures;
pub mod experiments;
pub mod faces;
pub mod flags;
pub mod labels;
pub mod margins;
pub mod predictions;
pub mod projections;
pub mod queue_entries;
pub mod rejects;
pub mod rounds;
pub mod saved_queries;
pub mod sightings;
pub mod tokens;
pub mod tombstones;
pub mod truth;
