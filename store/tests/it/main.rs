//! The store from outside: tables, commits, rounds, views, SQL, verify.

mod backup;
mod care;
mod commits;
mod copies;
mod durability;
mod first_rows;
mod forget;
mod functions;
mod memory;
mod model;
mod moment;
mod opening;
mod plans;
mod prepared;
mod reference;
mod remote;
mod rounds;
mod slt;
mod spread;
mod sql;
mod tokens;
mod writers;
