//! Behaviour of the pipeline through its public interfaces.

mod config;
mod report;
mod shutdown;
mod watch;
