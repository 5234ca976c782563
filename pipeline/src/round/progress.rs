//! What a round's epochs measured, kept beside its checkpoint until the round commits.
//!
//! The reports are written before the checkpoint of their epoch, so that after a kill there is one for every epoch that
//! the checkpoint has done; one too many is dropped.

use std::path::{Path, PathBuf};

use marginalia_store::write_whole;
use marginalia_trainer::EpochReport;

use crate::error::{Error, Result};

fn file(folder: &Path) -> PathBuf {
    folder.join("epochs.json")
}

/// The reports of the first `epochs` epochs.
pub(super) fn load(folder: &Path, epochs: u32) -> Result<Vec<EpochReport>> {
    let path = file(folder);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(path)(error)),
    };
    let mut reports: Vec<EpochReport> =
        serde_json::from_slice(&text).map_err(|source| Error::Progress { path, source })?;
    reports.truncate(epochs as usize);
    Ok(reports)
}

/// Replaces the reports.
pub(super) fn save(folder: &Path, reports: &[EpochReport]) -> Result<()> {
    let path = file(folder);
    let text = serde_json::to_vec(reports).map_err(|source| Error::Progress { path: path.clone(), source })?;
    Ok(write_whole(&path, &text)?)
}
