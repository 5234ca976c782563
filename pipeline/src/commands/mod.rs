//! The commands, one file each: typed arguments, then the work, then the output.

pub mod backup;
pub mod bench;
pub mod cluster;
pub mod compact;
pub mod curriculum;
pub mod demo;
pub mod evaluate;
pub mod experiment;
pub mod explain;
pub mod export;
pub mod forget;
pub mod import;
pub mod ingest;
pub mod init;
pub mod label;
pub mod predict;
pub mod restore;
pub mod rounds;
pub mod run;
pub mod serve;
pub mod sql;
pub mod status;
pub mod token;
pub mod train;
pub mod unlabel;
pub mod verify;
