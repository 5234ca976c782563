//! Runs whose training came to no numbers.
//!
//! In: the error that ended one. Out: a note in the run's folder. What decides a run decides that too, so that no command need
//! make it again to come to the same.

use std::io::ErrorKind;
use std::path::Path;

use marginalia_store::write_whole;

use crate::error::{Error, Result};

/// The note's name.
const NOTE: &str = "diverged.txt";

/// What became of the numbers; none where an error is another one.
pub(super) fn divergence(error: &Error) -> Option<String> {
    use marginalia_trainer::Error as Trainer;
    let Error::Trainer(error) = error else { return None };
    match error {
        Trainer::Diverged { epoch, step, loss } => {
            Some(format!("the loss became {loss} in epoch {epoch}, step {step}"))
        }
        Trainer::NotFinite { what, epoch, step, .. } => Some(format!("{what} in epoch {epoch}, step {step}")),
        Trainer::NotSaved { tensor, .. } => Some(format!("`{tensor}` held values that are not finite numbers")),
        _ => None,
    }
}

/// Leaves a note in a run's folder.
pub(super) fn note(folder: &Path, text: &str) -> Result<()> {
    Ok(write_whole(&folder.join(NOTE), text.as_bytes())?)
}

/// The note that an earlier command left.
pub(super) fn noted(folder: &Path) -> Result<Option<String>> {
    let path = folder.join(NOTE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path)(error)),
    }
}
