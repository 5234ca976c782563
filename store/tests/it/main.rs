//! The store from outside: tables, commits, rounds, views, SQL, verify.

mod backup;
mod commits;
mod durability;
mod forget;
mod model;
mod opening;
mod prepared;
mod remote;
mod rounds;
mod slt;
mod sql;
mod tokens;
