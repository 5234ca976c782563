//! Settings that clients send: taken where they are harmless, so that drivers can begin; everything else is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::types::format::FormatOptions;

use super::catalog::server_version;
use super::failure::{code, error};
use super::statement::refused;
use super::transaction::ISOLATION;

/// Longest value, bytes.
const MAX_VALUE: usize = 1000;

/// A setting: its name, its value after the login, what it may be.
struct Known {
    name: &'static str,
    default: &'static str,
    takes: Takes,
    /// How the client is told of it at the login and when it changes; none: only when it asks.
    told_as: Option<&'static str>,
}

enum Takes {
    /// Whatever is sent.
    Anything,
    /// One of these, as PostgreSQL's clients spell them.
    OneOf(&'static [&'static str]),
    /// What starts so.
    Prefix(&'static str),
    /// A whole number in this range.
    Number(i64, i64),
    /// Milliseconds, or a number with a unit.
    Time,
    /// Nothing: it is as it is.
    Nothing,
}

const fn known_as(name: &'static str, default: &'static str, takes: Takes, told_as: Option<&'static str>) -> Known {
    Known { name, default, takes, told_as }
}

/// Every setting, sorted by name.
const KNOWN: &[Known] = &[
    known_as("application_name", "", Takes::Anything, Some("application_name")),
    known_as("bytea_output", "hex", Takes::OneOf(&["hex"]), None),
    known_as("client_encoding", "UTF8", Takes::OneOf(&["utf8", "utf-8", "unicode", "sql_ascii"]), None),
    known_as("client_min_messages", "notice", Takes::Anything, None),
    known_as("datestyle", "ISO, MDY", Takes::Prefix("iso"), Some("DateStyle")),
    known_as("default_transaction_isolation", ISOLATION, Takes::Anything, None),
    known_as("default_transaction_read_only", "on", Takes::OneOf(&["on", "true", "yes", "1"]), None),
    known_as("extra_float_digits", "1", Takes::Number(-15, 3), None),
    known_as("idle_in_transaction_session_timeout", "0", Takes::Time, None),
    known_as("intervalstyle", "postgres", Takes::OneOf(&["postgres"]), Some("IntervalStyle")),
    known_as("is_superuser", "off", Takes::Nothing, None),
    known_as("jit", "off", Takes::Anything, None),
    known_as("lock_timeout", "0", Takes::Time, None),
    known_as("max_identifier_length", "63", Takes::Nothing, None),
    known_as("row_security", "off", Takes::Anything, None),
    known_as("search_path", "public", Takes::Anything, Some("search_path")),
    known_as("server_encoding", "UTF8", Takes::Nothing, None),
    known_as("server_version", "", Takes::Nothing, None),
    known_as("server_version_num", "160006", Takes::Nothing, None),
    known_as("standard_conforming_strings", "on", Takes::OneOf(&["on", "true", "yes", "1"]), None),
    known_as("statement_timeout", "0", Takes::Time, None),
    known_as("synchronous_commit", "on", Takes::Anything, None),
    known_as("timezone", "UTC", Takes::Anything, Some("TimeZone")),
    known_as("transaction_isolation", ISOLATION, Takes::Anything, None),
    known_as("transaction_read_only", "on", Takes::OneOf(&["on", "true", "yes", "1"]), None),
];

/// What one client has set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What it came with, which RESET goes back to.
    begun: BTreeMap<&'static str, String>,
    set: BTreeMap<&'static str, String>,
}

/// Whether SHOW has an answer to this name.
pub fn known(name: &str) -> bool {
    find(name).is_some()
}

/// Names of the settings that can be changed.
pub fn names() -> String {
    let names = KNOWN.iter().filter(|known| !matches!(known.takes, Takes::Nothing)).map(|known| known.name);
    names.collect::<Vec<_>>().join(", ")
}

fn find(name: &str) -> Option<&'static Known> {
    let name = match name.to_lowercase().as_str() {
        "time zone" => "timezone".to_owned(),
        "transaction isolation level" => "transaction_isolation".to_owned(),
        other => other.to_owned(),
    };
    KNOWN.iter().find(|known| known.name == name)
}

impl Settings {
    /// A setting that came with the startup message, `options` (`-c name=value …`) included; one that is unknown or does not
    /// fit is left out.
    pub fn begin_with(&mut self, name: &str, value: &str) {
        if name == "options" {
            let words = value.split_whitespace().map(|word| word.trim_start_matches("--").trim_start_matches("-c"));
            for (name, value) in words.filter_map(|word| word.split_once('=')).filter(|(name, _)| *name != "options") {
                self.begin_with(name, value);
            }
        }
        if let Some(known) = find(name)
            && known.takes(value)
        {
            self.begun.insert(known.name, value.to_owned());
        }
    }

    /// Changes a setting, or takes the change back; returns what the client must be told.
    ///
    /// # Errors
    /// Where it is not known, or the value is none that it takes.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> PgWireResult<Option<(&'static str, String)>> {
        let Some(known) = find(name) else { return Err(refused(name)) };
        match value {
            Some(value) if !known.takes(value) => {
                let message = format!("{} cannot be {value:?}; {}", known.name, known.valid());
                return Err(error(code::BAD_PARAMETER, message));
            }
            Some(value) => drop(self.set.insert(known.name, value.to_owned())),
            None => drop(self.set.remove(known.name)),
        }
        Ok(known.told_as.map(|name| (name, self.value(known))))
    }

    /// Everything as it was after the login; returns what the client must be told.
    pub fn reset(&mut self) -> Vec<(&'static str, String)> {
        self.set.clear();
        KNOWN.iter().filter_map(|known| Some((known.told_as?, self.value(known)))).collect()
    }

    /// The value of a setting.
    pub fn show(&self, name: &str) -> String {
        find(name).map(|known| self.value(known)).unwrap_or_default()
    }

    fn value(&self, known: &Known) -> String {
        match (self.set.get(known.name).or_else(|| self.begun.get(known.name)), known.name) {
            // Whatever it is called, it is UTF-8.
            (_, "client_encoding") => "UTF8".to_owned(),
            (_, "server_version") => server_version(),
            (Some(value), _) => value.clone(),
            (None, _) => known.default.to_owned(),
        }
    }

    /// What a client is told at the login.
    pub fn reported(&self, user: &str) -> Vec<(String, String)> {
        let own = KNOWN.iter().filter_map(|known| Some((known.told_as?.to_owned(), self.value(known))));
        let fixed = [
            ("server_version", server_version()),
            ("server_encoding", "UTF8".to_owned()),
            ("client_encoding", "UTF8".to_owned()),
            ("standard_conforming_strings", "on".to_owned()),
            ("integer_datetimes", "on".to_owned()),
            ("is_superuser", "off".to_owned()),
            ("default_transaction_read_only", "on".to_owned()),
            ("in_hot_standby", "off".to_owned()),
            ("session_authorization", user.to_owned()),
        ];
        own.chain(fixed.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    /// Time of a statement: what the client asks for, at most what the configuration allows.
    pub fn timeout(&self, most: Duration) -> Duration {
        let asked = find("statement_timeout").and_then(|known| milliseconds(&self.value(known)));
        match asked {
            Some(asked) if asked > 0 => most.min(Duration::from_millis(asked)),
            _ => most,
        }
    }

    /// How values are written as text.
    pub fn format(&self) -> FormatOptions {
        let mut format = FormatOptions::default();
        format.date_style = self.show("datestyle");
        format.extra_float_digits = self.show("extra_float_digits").parse().unwrap_or(format.extra_float_digits);
        format
    }
}

impl Known {
    fn takes(&self, value: &str) -> bool {
        let lower = value.to_lowercase();
        value.len() <= MAX_VALUE
            && match self.takes {
                Takes::Anything => true,
                Takes::OneOf(values) => values.contains(&lower.as_str()),
                Takes::Prefix(prefix) => lower.starts_with(prefix),
                Takes::Number(least, most) => lower.parse().is_ok_and(|number| (least..=most).contains(&number)),
                Takes::Time => milliseconds(&lower).is_some(),
                Takes::Nothing => false,
            }
    }

    fn valid(&self) -> String {
        match self.takes {
            Takes::Anything => format!("at most {MAX_VALUE} bytes"),
            Takes::OneOf(values) => format!("valid: {}", values.join(", ")),
            Takes::Prefix(prefix) => format!("it begins with {}", prefix.to_uppercase()),
            Takes::Number(least, most) => format!("valid: {least} to {most}"),
            Takes::Time => "a number of milliseconds, or one with ms, s, min or h".to_owned(),
            Takes::Nothing => "it cannot be changed".to_owned(),
        }
    }
}

/// `250`, `250ms`, `5s`, `2min` or `1h` in milliseconds.
fn milliseconds(text: &str) -> Option<u64> {
    let text = text.trim().to_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let factor = match text[end..].trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    text[..end].parse::<u64>().ok()?.checked_mul(factor)
}
