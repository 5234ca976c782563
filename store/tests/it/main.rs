//! The store from outside: tables, commits, rounds, views, SQL, verify.

mod commits;
mod opening;
mod rounds;
mod slt;
mod sql;
