//! SQL for PostgreSQL's clients: psql, drivers, BI tools.
//!
//! In: connections. Out: answers of the same read-only sessions that `marginalia sql` has, behind the same walls. The
//! protocol's messages, types and row formats are pgwire's and arrow-pg's, the catalog that clients look into is
//! datafusion-pg-catalog's. The conversation itself is ours: pgwire's own handlers collect an answer before they send it,
//! stop at a cancel request only while planning, and let a client talk on after a login that failed.
//!
//! A connection goes through [`listener`] (who may try) → [`login`] (who it is) → [`connection`] (messages) → [`simple`] or
//! [`extended`] (statements) → [`statement`] (what they ask for) → [`sessions`] (which state they see) → [`rows`] (answers).

mod catalog;
mod connection;
mod cursors;
mod extended;
mod failure;
mod introspection;
mod listener;
mod login;
mod rows;
mod sessions;
mod settings;
mod simple;
mod statement;
mod transaction;

pub use listener::{Door, Listener};
