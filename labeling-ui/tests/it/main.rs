//! The API through its router, over real corpora.

mod bench;
mod blind;
mod compression;
mod errors;
mod events;
mod faces;
mod flags;
mod gate;
mod labels;
mod metrics;
mod openapi;
mod overlap;
mod page;
mod paging;
mod queue;
mod server;
mod shift;
mod sql;
