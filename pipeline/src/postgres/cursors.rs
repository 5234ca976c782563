//! Cursors of SQL: `DECLARE`, `FETCH`, `CLOSE`. Each holds an answer that stops where the last row was fetched.

use std::collections::HashMap;

use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};

use super::failure::{code, error};
use super::rows::Rows;

/// Cursors a client may have open.
const MAX_CURSORS: usize = 20;

/// An open cursor.
pub struct Cursor {
    pub rows: Rows,
    /// Whether it outlives its transaction.
    pub hold: bool,
}

/// The open cursors of a client.
#[derive(Default)]
pub struct Cursors {
    open: HashMap<String, Cursor>,
}

impl Cursors {
    /// Refuses a name that is taken, one cursor too many, and one that would end with its statement.
    pub fn check_new(&self, name: &str, hold: bool, in_transaction: bool) -> PgWireResult<()> {
        if self.open.contains_key(name) {
            return Err(error(code::DUPLICATE_CURSOR, format!("there is a cursor {name:?} already; CLOSE it first")));
        }
        if self.open.len() >= MAX_CURSORS {
            return Err(error(code::TOO_MUCH, format!("{MAX_CURSORS} cursors are open; CLOSE one first")));
        }
        if !hold && !in_transaction {
            let message = "a cursor ends with its transaction, and there is none: BEGIN first, or declare it WITH HOLD";
            return Err(error(code::NO_TRANSACTION, message));
        }
        Ok(())
    }

    pub fn insert(&mut self, name: String, cursor: Cursor) {
        self.open.insert(name, cursor);
    }

    /// Takes a cursor out; whoever takes it puts it back unless reading it failed.
    pub fn take(&mut self, name: &str) -> PgWireResult<Cursor> {
        self.open.remove(name).ok_or_else(|| missing(name))
    }

    pub fn get(&self, name: &str) -> PgWireResult<&Cursor> {
        self.open.get(name).ok_or_else(|| missing(name))
    }

    /// Closes a cursor, or all.
    pub fn close(&mut self, name: Option<&str>) -> PgWireResult<()> {
        match name {
            Some(name) => self.take(name).map(drop),
            None => {
                self.open.clear();
                Ok(())
            }
        }
    }

    /// Closes those that end with their transaction.
    pub fn end_transaction(&mut self) {
        self.open.retain(|_, cursor| cursor.hold);
    }
}

fn missing(name: &str) -> PgWireError {
    error(code::NO_SUCH_CURSOR, format!("there is no open cursor {name:?}; DECLARE opens one, in a transaction"))
}
