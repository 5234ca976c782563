//! A repeated time span as people write it: `90s`, `10m`, `1h30m`, or nothing for never.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// How often something happens by itself; the default is never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Every(Option<Duration>);

impl Every {
    /// The time between two occurrences; none for never.
    pub fn duration(self) -> Option<Duration> {
        self.0
    }
}

impl FromStr for Every {
    type Err = Error;

    /// Whole numbers with the units d, h, m, s, each at most once and from large to small; empty for never.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::InvalidDuration { text: text.to_owned() };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Ok(Self(None));
        }
        let mut units = UNITS.iter();
        let mut seconds = 0_u64;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
            let number: u64 = rest[..end].parse().map_err(|_| invalid())?;
            let unit = rest[end..].chars().next().ok_or_else(invalid)?;
            let (_, size) = units.by_ref().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
            seconds = number.checked_mul(*size).and_then(|s| s.checked_add(seconds)).ok_or_else(invalid)?;
            rest = &rest[end + unit.len_utf8()..];
        }
        if seconds == 0 { Err(invalid()) } else { Ok(Self(Some(Duration::from_secs(seconds)))) }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seconds = self.0.map_or(0, |duration| duration.as_secs());
        for (name, size) in UNITS {
            if seconds >= size {
                write!(f, "{}{name}", seconds / size)?;
                seconds %= size;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Every {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Every> for String {
    fn from(every: Every) -> Self {
        every.to_string()
    }
}
