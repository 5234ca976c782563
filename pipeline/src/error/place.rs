//! Where a problem with a config stands.

use std::fmt;
use std::path::PathBuf;

/// Where in a config a problem stands: file and line as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file; none for a text that came from elsewhere.
    pub file: Option<PathBuf>,
    /// Line, counted from 1; none for a value that the file does not name.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}", file.display()),
            (Some(file), None) => write!(f, "{}", file.display()),
            (None, Some(line)) => write!(f, "config line {line}"),
            (None, None) => write!(f, "config"),
        }
    }
}
