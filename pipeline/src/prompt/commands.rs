//! The prompt's own commands, named as psql names them.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::answers::Format;
use crate::error::{Error, Result};

/// What `\?` shows.
pub const HELP: &str = "\\d            tables and views
\\d NAME       one of them: its columns and what they say
\\df           functions
\\timing       shows how long each answer took, or no longer
\\format FORM  table, csv, json, jsonl, arrow or parquet
\\o FILE       answers go to a file from now on; without one, back to the screen
\\q            ends, as Ctrl-D does; Ctrl-C stops a query";

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `\d`
    List,
    /// `\d NAME`
    Describe(String),
    /// `\df`
    Functions,
    /// `\timing`
    Timing,
    /// `\format FORM`
    Format(Format),
    /// `\o [FILE]`
    Output(Option<PathBuf>),
    /// `\?`
    Help,
    /// `\q`
    Quit,
}

impl Command {
    /// Reads a line that begins with a backslash.
    ///
    /// # Errors
    /// [`Error::NoSuchCommand`], which names `\?`.
    pub fn parse(line: &str) -> Result<Self> {
        let line = line.trim().trim_end_matches(';');
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let unknown = || Error::NoSuchCommand { command: line.to_owned() };
        Ok(match (word, rest) {
            ("\\d" | "\\dt" | "\\dv", "") => Self::List,
            ("\\d", name) => Self::Describe(name.to_owned()),
            ("\\df", "") => Self::Functions,
            ("\\timing", "") => Self::Timing,
            ("\\format", form) => Self::Format(Format::from_str(form, true).map_err(|_| unknown())?),
            ("\\o", "") => Self::Output(None),
            ("\\o", path) => Self::Output(Some(PathBuf::from(path))),
            ("\\?" | "\\h" | "\\help", "") => Self::Help,
            ("\\q" | "\\quit", "") => Self::Quit,
            _ => return Err(unknown()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_as_people_type_them() {
        let parse = |line| Command::parse(line).ok();
        assert_eq!(parse("\\d"), Some(Command::List));
        assert_eq!(parse("\\d corpus;"), Some(Command::Describe("corpus".into())));
        assert_eq!(parse("\\o  /tmp/my file.csv "), Some(Command::Output(Some("/tmp/my file.csv".into()))));
        assert_eq!(parse("\\o"), Some(Command::Output(None)));
        assert_eq!(parse("\\format CSV"), Some(Command::Format(Format::Csv)));
        for wrong in ["\\", "\\x", "\\format", "\\format xml", "\\timing off and on"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
