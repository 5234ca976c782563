//! Behaviour of the pipeline through its public interfaces.

mod binary;
#[cfg(feature = "cluster")]
mod cluster;
mod config;
mod curriculum;
mod data_sets;
mod demo;
mod evaluate;
mod experiment;
mod experiment_sets;
mod export;
mod failure;
mod first_weights;
mod http;
mod ingesters;
mod kill;
mod notebook;
mod postgres;
mod predict;
mod prompt;
mod report;
mod run;
mod shutdown;
mod tidy;
mod upkeep;
mod watch;
mod whole_loop;
