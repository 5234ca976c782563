//! Choices that a reader leaves to whoever imports: how many frames of a sequence, which votes count. Text comes in
//! (`frames=3`), values that the reader has declared go out, with its defaults for what was not said.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::reader::Reader;

/// One choice that a reader leaves open.
#[derive(Debug)]
pub struct ReaderOption {
    /// The word before the `=`.
    pub name: &'static str,
    pub values: OptionValues,
    /// What holds where nothing is said; one of the values.
    pub default: &'static str,
    /// One line for people: what it decides.
    pub about: &'static str,
}

/// What an option takes.
#[derive(Debug)]
pub enum OptionValues {
    OneOf(&'static [&'static str]),
    /// Whole numbers, both ends included.
    Whole(u32, u32),
    /// Any number from this one on.
    AtLeast(f64),
}

/// Values for the options of one reader; see [`Options::of`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    given: Vec<(&'static str, String)>,
}

static NONE: Options = Options::new();

impl Options {
    /// No value given: every option has its default.
    pub const fn new() -> Self {
        Self { given: Vec::new() }
    }

    /// The same, for requests that borrow.
    pub(crate) fn none() -> &'static Self {
        &NONE
    }

    /// Understands `name=value` texts as options of this reader. Of two values for one option the later holds.
    ///
    /// # Errors
    /// A text without `=`, an option that the reader does not declare, a value that the option does not take: refused
    /// with the valid choices.
    pub fn of(reader: &dyn Reader, texts: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self> {
        let mut given = Vec::new();
        for text in texts {
            let text = text.as_ref();
            let invalid = || Error::InvalidOption { text: text.to_owned() };
            let (name, value) = text.split_once('=').ok_or_else(invalid)?;
            let (name, value) = (name.trim(), value.trim());
            let option = reader.options().iter().find(|option| option.name.eq_ignore_ascii_case(name));
            let option = option.ok_or_else(|| unknown(reader, name))?;
            if !option.values.hold(value) {
                return Err(option.refused(value));
            }
            given.push((option.name, value.to_ascii_lowercase()));
        }
        Ok(Self { given })
    }

    /// The word chosen for an option, in lower case.
    pub(crate) fn word(&self, option: &ReaderOption) -> &str {
        let given = self.given.iter().rev().find(|(name, _)| *name == option.name);
        given.map_or(option.default, |(_, value)| value)
    }

    /// The number chosen for an option.
    pub(crate) fn number<N: FromStr>(&self, option: &ReaderOption) -> Result<N> {
        let word = self.word(option);
        word.parse().map_err(|_| option.refused(word))
    }
}

impl ReaderOption {
    /// The error for a value that does not work.
    pub(crate) fn refused(&self, value: &str) -> Error {
        Error::InvalidOptionValue { name: self.name, value: value.to_owned(), valid: self.values.to_string() }
    }
}

/// As help shows it: `frames=3 (whole numbers from 1 to 100): …`.
impl fmt::Display for ReaderOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} ({}): {}", self.name, self.default, self.values, self.about)
    }
}

impl OptionValues {
    fn hold(&self, text: &str) -> bool {
        match self {
            Self::OneOf(words) => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
            Self::Whole(from, to) => text.parse().is_ok_and(|number: u32| (*from..=*to).contains(&number)),
            Self::AtLeast(from) => text.parse().is_ok_and(|number: f64| number.is_finite() && number >= *from),
        }
    }
}

impl fmt::Display for OptionValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneOf(words) => f.write_str(&words.join(", ")),
            Self::Whole(from, to) => write!(f, "whole numbers from {from} to {to}"),
            Self::AtLeast(from) => write!(f, "numbers from {from}"),
        }
    }
}

fn unknown(reader: &dyn Reader, name: &str) -> Error {
    let names: Vec<&str> = reader.options().iter().map(|option| option.name).collect();
    let known = match names.is_empty() {
        true => "it has none".to_owned(),
        false => format!("its options are {}", names.join(", ")),
    };
    Error::UnknownOption { reader: reader.name(), name: name.to_owned(), known }
}
