//! Which keys a config text may have, and on which line each stands.
//!
//! The known keys are those of the default config itself, so that a new setting is known here without being listed. A
//! key that is not among them is refused before anything else is read, with the nearest known one: serde's own message
//! would list all of a section's keys and could not see that a key merely stands in the wrong section.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::config::Config;
use crate::error::{Error, Place, Result};

/// How alike two keys must be (Jaro-Winkler, 0 to 1) to be offered for one another.
const ALIKE: f64 = 0.75;

/// Line of every key, by dotted path.
pub(super) type Lines = HashMap<String, usize>;

/// Refuses unknown keys and says where the known ones stand.
pub(super) fn check(text: &str, file: Option<&Path>) -> Result<Lines> {
    let table = DeTable::parse(text).map_err(|error| syntax(text, file, &error))?;
    let known = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut check = Check { text, file, known: &known, lines: Lines::new() };
    check.table(table.get_ref(), "", &known)?;
    Ok(check.lines)
}

/// The error for a text that is no TOML or has a value of the wrong type.
pub(super) fn syntax(text: &str, file: Option<&Path>, error: &toml::de::Error) -> Error {
    let line = error.span().map(|span| line_at(text, span.start));
    let shown = line.and_then(|line| text.lines().nth(line - 1)).map(str::trim).filter(|shown| !shown.is_empty());
    let message = match shown {
        Some(shown) => format!("{} (in `{shown}`)", error.message().trim_end()),
        None => error.message().trim_end().to_owned(),
    };
    Error::ConfigSyntax { place: Place { file: file.map(Path::to_path_buf), line }, message }
}

struct Check<'a> {
    text: &'a str,
    file: Option<&'a Path>,
    /// All known keys, as a tree of objects.
    known: &'a Value,
    lines: Lines,
}

impl Check<'_> {
    fn table(&mut self, table: &DeTable<'_>, section: &str, known: &Value) -> Result<()> {
        for (key, value) in table {
            let line = line_at(self.text, key.span().start);
            let name: &str = key.get_ref();
            let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            let Some(inner) = known.get(name) else {
                return Err(self.unknown(name, section, known, line));
            };
            if let (DeValue::Table(table), Value::Object(_)) = (value.get_ref(), inner) {
                self.table(table, &path, inner)?;
            }
            self.lines.insert(path, line);
        }
        Ok(())
    }

    fn unknown(&self, key: &str, section: &str, here: &Value, line: usize) -> Error {
        let place = Place { file: self.file.map(Path::to_path_buf), line: Some(line) };
        let words = match section {
            "" => "at the top level".to_owned(),
            section => format!("in section [{section}]"),
        };
        Error::UnknownKey { place, key: key.to_owned(), section: words, hint: self.hint(key, section, here) }
    }

    fn hint(&self, key: &str, section: &str, here: &Value) -> String {
        let mut all = Vec::new();
        paths(self.known, "", &mut all);
        if let Some((home, _)) = all.iter().find(|(home, name)| name == key && home != section) {
            return match home.as_str() {
                "" => format!("`{key}` belongs at the top, before the first section"),
                home => format!("`{key}` belongs in section [{home}]"),
            };
        }
        let siblings: Vec<&str> = here.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default();
        if let Some(nearest) = nearest(key, siblings.iter().copied(), |name| name) {
            return format!("did you mean `{nearest}`?");
        }
        if let Some((home, name)) = nearest(key, all.iter(), |(_, name)| name) {
            return match home.as_str() {
                "" => format!("did you mean `{name}`, before the first section?"),
                home => format!("did you mean `{name}` in section [{home}]?"),
            };
        }
        format!("known here: {}", siblings.join(", "))
    }
}

/// The candidate most like `key`, if any is alike enough.
fn nearest<'a, T>(key: &str, candidates: impl Iterator<Item = T>, name: impl Fn(&T) -> &'a str) -> Option<T>
where
    T: 'a,
{
    candidates
        .map(|candidate| (strsim::jaro_winkler(key, name(&candidate)), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Every known key as (section, name), sections included.
fn paths(known: &Value, section: &str, into: &mut Vec<(String, String)>) {
    for (name, inner) in known.as_object().into_iter().flatten() {
        into.push((section.to_owned(), name.clone()));
        if inner.is_object() {
            let path = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
            paths(inner, &path, into);
        }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}
