//! Class names: the ordered list a corpus works with, and the words people use for them.
//!
//! Text comes in (`Happy`, `angry`, `anger`), the corpus's own name goes out. Classes are names and never numbers,
//! because every data set numbers them differently; numbers need a [`ClassMap`](crate::ClassMap).

use crate::class_map::ClassMap;
use crate::error::{Error, Place, Result};

/// Expressions and the other words in use for each, the canonical name first.
const EXPRESSIONS: [&[&str]; 8] = [
    &["neutral", "calm"],
    &["happiness", "happy"],
    &["sadness", "sad"],
    &["surprise", "surprised"],
    &["fear", "fearful", "afraid"],
    &["disgust", "disgusted"],
    &["anger", "angry"],
    &["contempt", "contemptuous"],
];

/// The ordered, distinct class names of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    names: Vec<String>,
}

impl Classes {
    /// Classes of one's own, in this order. Two or more; no number, no two words for one expression.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(|name| name.into().trim().to_owned()).collect();
        match problem_with(&names) {
            Some(problem) => Err(Error::InvalidClasses { names: names.join(","), problem }),
            None => Ok(Self { names }),
        }
    }

    /// The seven basic expressions in the order of the labelling keys.
    pub fn standard() -> Self {
        Self { names: EXPRESSIONS[..7].iter().map(|words| words[0].to_owned()).collect() }
    }

    /// The seven basic expressions and contempt.
    pub fn with_contempt() -> Self {
        Self { names: EXPRESSIONS.iter().map(|words| words[0].to_owned()).collect() }
    }

    /// All names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many classes there are; never 0.
    #[allow(clippy::len_without_is_empty, reason = "there are always two or more")]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Name of class `i`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Self::len), like a slice.
    pub fn name(&self, i: usize) -> &str {
        &self.names[i]
    }

    /// Position of a class by its exact name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The class that `text` means: the name itself or another word for it, in any case.
    ///
    /// # Errors
    /// A number is refused with the way out (`--class-map`); a known expression that is not a class here and an
    /// unknown word are refused with the list of classes.
    pub fn resolve(&self, text: &str) -> Result<&str> {
        let text = text.trim();
        if let Some(name) = self.names.iter().find(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(name);
        }
        let place = Place::default();
        let known = self.names.join(", ");
        if let Some(expression) = expression_of(text) {
            let same = self.names.iter().find(|name| expression_of(name) == Some(expression));
            return same.map(String::as_str).ok_or_else(|| Error::ClassNotInCorpus {
                class: expression.to_owned(),
                place,
                known,
            });
        }
        if text.parse::<f64>().is_ok() {
            return Err(Error::NumberAsClass { text: text.to_owned(), place, known: ClassMap::names() });
        }
        Err(Error::UnknownClass { text: text.to_owned(), place, known })
    }
}

impl Default for Classes {
    fn default() -> Self {
        Self::standard()
    }
}

/// The canonical expression that a word stands for, in any case.
pub(crate) fn expression_of(word: &str) -> Option<&'static str> {
    EXPRESSIONS.iter().find(|words| words.iter().any(|known| known.eq_ignore_ascii_case(word))).map(|words| words[0])
}

/// What is wrong with a list of class names, in words that fit into the error.
fn problem_with(names: &[String]) -> Option<String> {
    if names.len() < 2 {
        return Some("at least two are needed".to_owned());
    }
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() {
            return Some("a name is empty".to_owned());
        }
        if name.parse::<f64>().is_ok() {
            return Some(format!("`{name}` is a number"));
        }
        // Names become folders on export, so they must be plain file names everywhere.
        if name.starts_with('.') || !name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.')) {
            return Some(format!("`{name}` has a character other than letters, digits, space, `.`, `_` and `-`"));
        }
        let same = |other: &&String| {
            other.eq_ignore_ascii_case(name)
                || expression_of(name).is_some_and(|expression| expression_of(other) == Some(expression))
        };
        if let Some(other) = names[..i].iter().find(same) {
            return Some(format!("`{other}` and `{name}` are the same class"));
        }
    }
    None
}
