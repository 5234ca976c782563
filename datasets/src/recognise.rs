//! Which data set a path is. Every reader says what it sees there; one set alone is an answer, and so is one general
//! layout where no set is seen. Nothing is guessed.

use std::fmt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::glimpse::Glimpse;
use crate::layout::class_and_split;
use crate::reader::{Reader, readers};

/// A format, and why it is the one.
#[derive(Clone)]
pub struct Recognised {
    pub reader: &'static dyn Reader,
    /// A sentence without its full stop.
    pub evidence: String,
}

/// Says which format a folder, archive or table is in.
///
/// # Errors
/// If nothing is there; if no format or more than one recognises it, with what was looked for or found.
pub fn recognise(path: &Path) -> Result<Recognised> {
    let glimpse = Glimpse::of(path)?;
    let recognised = readers().iter().filter_map(|&reader| {
        let evidence = reader.evidence(&glimpse)?;
        Some(Recognised { reader, evidence })
    });
    let (general, sets): (Vec<_>, Vec<_>) = recognised.partition(|recognised| recognised.reader.is_general());
    let mut candidates = if sets.is_empty() { general } else { sets };
    match candidates.len() {
        0 => Err(not_recognised(path, &glimpse)),
        1 => Ok(candidates.remove(0)),
        _ => {
            let line = |candidate: &Recognised| format!("\n  {}: {}", candidate.reader.name(), candidate.evidence);
            let candidates = candidates.iter().map(line).collect();
            Err(Error::Ambiguous { path: path.to_owned(), candidates })
        }
    }
}

impl fmt::Debug for Recognised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reader.name(), self.evidence)
    }
}

fn not_recognised(path: &Path, glimpse: &Glimpse) -> Error {
    let number = glimpse.images().map(|image| class_and_split(image).0).find(|class| class.parse::<u32>().is_ok());
    let hint = number.map_or_else(String::new, |number| {
        format!(": its folders are numbers such as `{number}`, which mean another class in every data set")
    });
    let looked_for = readers().iter().map(|reader| format!("\n  {}: {}", reader.name(), reader.about())).collect();
    Error::NotRecognised { path: path.to_owned(), hint, looked_for }
}
