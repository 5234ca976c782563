//! psycopg and SQLAlchemy: the extended protocol, cursors, cancelling, introspection. `clients.py` is the client's side.

use super::server::{ANYBODY, Server, User};
use crate::binary::Bench;

/// A server whose statements may take so many seconds, and whose texts may be long, so that the other walls are met.
fn with_timeout(seconds: u32) -> Server {
    let bench = Bench::new();
    let path = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&path).expect("the config");
    let changed = text.replace("timeout_seconds = 30", &format!("timeout_seconds = {seconds}"));
    let changed = changed.replace("max_text_kb = 64", "max_text_kb = 1024");
    assert!(changed.contains("1024") && (seconds == 30 || !changed.contains("timeout_seconds = 30")));
    std::fs::write(&path, changed).expect("the config");
    Server::start_with(bench, &[])
}

#[test]
fn parameters_of_every_type_text_and_binary() {
    Server::start().python("parameters", ANYBODY);
}

#[test]
fn a_cursor_over_a_million_rows_has_flat_memory() {
    with_timeout(600).python("million", ANYBODY);
}

#[test]
fn a_transaction_sees_one_state_and_what_follows_the_newest() {
    Server::start().python("transaction", ANYBODY);
}

#[test]
fn whatever_does_more_than_read_is_refused_when_prepared() {
    Server::start().python("refused", ANYBODY);
}

#[test]
fn a_cancelled_statement_stops_and_the_next_is_answered() {
    with_timeout(600).python("cancel", ANYBODY);
}

#[test]
fn a_client_that_goes_away_stops_its_statement() {
    with_timeout(600).python("gone", ANYBODY);
}

#[test]
fn every_wall_holds_and_the_next_statement_is_answered() {
    let server = with_timeout(2);
    for door in ["walls", "walls_over_http", "walls_on_the_command_line"] {
        server.python(door, ANYBODY);
    }
}

#[test]
fn sqlalchemy_looks_into_the_catalog() {
    let bench = Bench::new();
    let made = bench.json(&["token", "create", "ada", "--role", "reader"]);
    let token = made["token"].as_str().expect("a token").to_owned();
    Server::start_with(bench, &[]).python("sqlalchemy", User { name: "ada", token: &token });
}
