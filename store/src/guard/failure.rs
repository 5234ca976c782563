//! What the engine says went wrong, in the user's words, with the line where it can be told.

use datafusion::common::{Location, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::Error;

/// Characters of the engine's message that are passed on.
const MESSAGE_CHARS: usize = 1000;

/// The user's view of an engine error.
pub(crate) fn failed(error: DataFusionError) -> Error {
    let place = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(|span| span.start);
    at(unplaced(&error), place)
}

/// [`failed`], with the place in the text where it is about a name that stands in it.
pub(crate) fn failed_in(sql: &str, error: DataFusionError) -> Error {
    let missing = match error.find_root() {
        DataFusionError::SchemaError(reason, _) => match reason.as_ref() {
            SchemaError::FieldNotFound { field, .. } => Some(field.name.clone()),
            _ => None,
        },
        _ => None,
    };
    let has_place = error.diagnostic().is_some_and(|diagnostic| diagnostic.span.is_some());
    match missing.filter(|_| !has_place).and_then(|name| place_of(sql, &name)) {
        Some(place) => at(unplaced(&error), Some(place)),
        None => failed(error),
    }
}

fn at(error: Error, place: Option<Location>) -> Error {
    match (error, place) {
        (Error::QueryFailed { message }, Some(Location { line, column })) => {
            Error::QueryFailed { message: format!("{message} (line {line}, column {column})") }
        }
        (error, _) => error,
    }
}

/// Where a name first stands in a text.
fn place_of(sql: &str, name: &str) -> Option<Location> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location().ok()?;
    let token = tokens.into_iter().find(|token| match &token.token {
        Token::Word(word) => word.value.eq_ignore_ascii_case(name),
        _ => false,
    })?;
    Some(token.span.start.into())
}

fn unplaced(error: &DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(reason) => Error::QueryTooLarge { reason: reason.clone() },
        DataFusionError::SQL(parser, _) => Error::QueryFailed { message: parser.to_string() },
        DataFusionError::Plan(message) => Error::QueryFailed { message: missing_table(message) },
        // Some messages repeat the whole syntax tree.
        _ => Error::QueryFailed { message: error.strip_backtrace().chars().take(MESSAGE_CHARS).collect() },
    }
}

/// "Table not found" in the user's words: the engine's name the catalog, and say nothing about what there is.
fn missing_table(message: &str) -> String {
    let name = message.strip_prefix("table '").and_then(|rest| rest.strip_suffix("' not found"));
    match name {
        Some(name) => {
            let name = name.trim_start_matches("marginalia.public.");
            format!("no such table: {name}; SHOW TABLES lists what there is (files cannot be read from SQL)")
        }
        None => message.to_owned(),
    }
}
