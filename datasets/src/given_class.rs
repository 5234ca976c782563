//! What a data set's word or number for a class means in this corpus.

use crate::class_map::ClassMap;
use crate::classes::Classes;
use crate::error::{Error, Result};
use crate::reader::ReadRequest;

/// The meaning of a class text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    /// A class of the corpus, or none.
    Class(Option<String>),
    /// The face is left out of the data set, for this reason: AffectNet's `uncertain`, or contempt where the corpus
    /// has no such class (AffectNet with 7 classes is exactly that).
    LeftOut(String),
}

/// The classes that apply to one reading.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GivenClasses<'a> {
    classes: &'a Classes,
    class_map: Option<&'static ClassMap>,
    unlabelled: bool,
}

impl<'a> GivenClasses<'a> {
    pub(crate) fn of(request: &ReadRequest<'a>) -> Self {
        Self { classes: request.classes, class_map: request.class_map, unlabelled: request.unlabelled }
    }

    /// The same with a class map for formats whose own numbers are known; one that the user named goes first.
    pub(crate) fn or_class_map(self, map: &'static ClassMap) -> Self {
        Self { class_map: self.class_map.or(Some(map)), ..self }
    }

    /// What `text` means: a class name in any case, or a number under the class map. Empty text means no class.
    ///
    /// # Errors
    /// A name or number nobody knows; a number without a map. `place` goes into the message.
    pub(crate) fn given(&self, text: &str, place: impl FnOnce() -> String) -> Result<Given> {
        let text = text.trim();
        if self.unlabelled || text.is_empty() {
            return Ok(Given::Class(None));
        }
        let name = match (class_number(text), self.class_map) {
            (Some(number), Some(map)) => match (map.class(number), map.ignored(number)) {
                (Some(class), _) => class,
                (None, Some(meaning)) => {
                    return Ok(Given::LeftOut(format!("{} marks it as `{meaning}`", map.name())));
                }
                (None, None) => return Err(map.no_such_number(number).met_in(place())),
            },
            _ => text,
        };
        match self.classes.resolve(name) {
            Ok(class) => Ok(Given::Class(Some(class.to_owned()))),
            Err(Error::ClassNotInCorpus { class, .. }) => {
                Ok(Given::LeftOut(format!("`{class}` is not one of the classes here")))
            }
            Err(error) => Err(error.met_in(place())),
        }
    }
}

/// Whole numbers, also as tables write them after a detour over floating point (`3.0`).
fn class_number(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.fract() == 0.0 && number.abs() < 1e9).then_some(number as i64)
    })
}
