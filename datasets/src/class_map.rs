//! Which number means which expression, per data set. Class orders differ from set to set, the classic bug of this
//! field, so a number gets a name only after the user has said which set it comes from.

use crate::error::{Error, Place, Result};

/// The numbering of one data set.
#[derive(Debug, PartialEq, Eq)]
pub struct ClassMap {
    name: &'static str,
    about: &'static str,
    first: i64,
    classes: &'static [&'static str],
    /// Numbers that stand for "no expression", and what they mean.
    ignored: &'static [(i64, &'static str)],
    hint: &'static str,
}

const MAPS: &[ClassMap] = &[
    ClassMap {
        name: "raf-db",
        about: "RAF-DB as its label file has it, 1 to 7",
        first: 1,
        classes: &["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"],
        ignored: &[],
        hint: "; labels above 7 belong to RAF-DB's compound subset, use the basic one; labels from 0 are `raf-db-0`",
    },
    ClassMap {
        name: "raf-db-0",
        about: "RAF-DB as most code holds it, 0 to 6",
        first: 0,
        classes: &["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"],
        ignored: &[],
        hint: "; RAF-DB's own files count from 1: `raf-db`",
    },
    ClassMap {
        name: "affectnet",
        about: "AffectNet, 0 to 7; 8 to 10 hold no expression",
        first: 0,
        classes: &["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"],
        ignored: &[(8, "none"), (9, "uncertain"), (10, "no face")],
        hint: "",
    },
    ClassMap {
        name: "fer2013",
        about: "FER2013's csv, 0 to 6",
        first: 0,
        classes: &["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"],
        ignored: &[],
        hint: "",
    },
    ClassMap {
        name: "expw",
        about: "ExpW, the order of FER2013",
        first: 0,
        classes: &["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"],
        ignored: &[],
        hint: "",
    },
    ClassMap {
        name: "ferplus",
        about: "FER+'s columns, 0 to 7; 8 and 9 hold no expression",
        first: 0,
        classes: &["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"],
        ignored: &[(8, "unknown"), (9, "no face")],
        hint: "",
    },
    ClassMap {
        name: "ck+",
        about: "CK+'s emotion files, 0 to 7",
        first: 0,
        classes: &["neutral", "anger", "contempt", "disgust", "fear", "happiness", "sadness", "surprise"],
        ignored: &[],
        hint: "",
    },
    ClassMap {
        name: "ck+48",
        about: "CK+48 as common code and the csv have it, 0 to 6 without neutral",
        first: 0,
        classes: &["anger", "disgust", "fear", "happiness", "sadness", "surprise", "contempt"],
        ignored: &[],
        hint: "",
    },
];

impl ClassMap {
    /// The map of that name, in any case.
    ///
    /// # Errors
    /// An unknown name is refused with the list of maps.
    pub fn named(name: &str) -> Result<&'static Self> {
        MAPS.iter()
            .find(|map| map.name.eq_ignore_ascii_case(name.trim()))
            .ok_or_else(|| Error::UnknownClassMap { name: name.to_owned(), known: Self::names() })
    }

    /// Every map there is.
    pub fn all() -> &'static [Self] {
        MAPS
    }

    /// The map's own name, as given to `--class-map`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// One line for people: which set and which numbers.
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// The canonical expression that a number stands for; `None` where it stands for none.
    pub fn class(&self, number: i64) -> Option<&'static str> {
        let i = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.classes.get(i).copied()
    }

    /// What a number means that the set uses for "no expression" (AffectNet's `uncertain`, FER+'s `no face`).
    pub fn ignored(&self, number: i64) -> Option<&'static str> {
        self.ignored.iter().find(|(known, _)| *known == number).map(|(_, meaning)| *meaning)
    }

    pub(crate) fn names() -> String {
        MAPS.iter().map(|map| map.name).collect::<Vec<_>>().join(", ")
    }

    /// The error for a number that this set does not use at all.
    pub(crate) fn no_such_number(&self, number: i64) -> Error {
        let last = self.first + self.classes.len() as i64 - 1 + self.ignored.len() as i64;
        Error::NumberNotInClassMap {
            number,
            place: Place::default(),
            map: self.name,
            known: format!("{} to {last}", self.first),
            hint: self.hint,
        }
    }
}
