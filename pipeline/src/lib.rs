//! How it runs: commands, config, watcher, ingest, rounds and the supervisor.
//!
//! Data goes one way: [`watch`] finds files, [`admitting`] lets faces in, [`ingest`] and [`import`] (of a
//! [`data_set`]) write them,
//! [`curriculum`] chooses, [`round`] trains, scores and commits, [`arrivals`] scores what comes in between, [`http`] serves
//! people, [`export`] writes it down for others, [`experiment`] compares many trainings, [`predict`] scores in SQL,
//! [`cluster`] brings other machines in, and the [`commands`] show it: [`answers`] of SQL at a [`moment`], one or many at
//! the [`prompt`]. Everything long tells [`events`], which [`report`] shows.

pub mod cli;
pub mod commands;
pub mod config;
pub mod console;
pub mod error;

pub mod events;
pub mod report;
pub mod shutdown;
pub mod tables;

pub mod answers;
pub mod moment;
pub mod prompt;

pub mod admitting;
pub mod data_set;
pub mod import;
pub mod ingest;
pub mod watch;

pub mod annotator;
pub mod arrivals;
pub mod cluster;
pub mod computing;
pub mod curriculum;
pub mod experiment;
pub mod export;
pub mod http;
pub mod maintenance;
pub mod memory;
pub mod meter;
pub mod open_files;
mod part_file;
pub mod postgres;
pub mod precision;
pub mod predict;
pub mod priority;
pub mod round;
pub mod serving;
pub mod supervisor;
pub mod teacher;
pub mod tls;
