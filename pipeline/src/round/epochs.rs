//! The epochs of a training in a folder, and what they measured.
//!
//! In: a training and its faces. Out: a checkpoint in the folder and a report per epoch beside it. Both are saved after every
//! epoch, so that a kill costs at most one; going on gives the same numbers as never having stopped. The reports are written
//! before the checkpoint of their epoch, so that after a kill there is one for every epoch that the checkpoint has done; one
//! too many is dropped.

use std::path::{Path, PathBuf};

use marginalia_store::write_whole;
use marginalia_trainer::{Control, EpochReport, RoundData, Scorer, StepReport, Training};

use crate::error::{Error, Result};

/// The file that a training goes on from.
const STATE: &str = "state.safetensors";

/// Who is told of steps and epochs.
pub trait Watcher {
    /// After every step.
    fn step(&mut self, report: &StepReport);

    /// After every epoch, before it is saved.
    fn epoch(&mut self, report: &EpochReport) -> Result<()>;
}

/// What the epochs left in their folder.
pub struct Epochs {
    /// A report each.
    pub reports: Vec<EpochReport>,
    /// BLAKE3 of the teacher's file.
    pub checkpoint_hash: String,
}

/// Trains all that the checkpoint in `folder` has not done; `begin` gives the training where there is none.
///
/// # Errors
/// The trainer's, the file system's, and the watcher's own.
pub fn train_in(
    folder: &Path,
    begin: impl FnOnce() -> Result<Training>,
    data: &RoundData,
    control: &Control,
    watcher: &mut dyn Watcher,
) -> Result<Epochs> {
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let mut training = match folder.join(STATE).exists() {
        true => Training::resume(folder)?,
        false => begin()?,
    };
    let mut reports = load(folder, training.epochs_done())?;
    let mut hash = None;
    while !training.is_finished() {
        let report = training.run_epoch(data, control, &mut |step| watcher.step(&step))?;
        watcher.epoch(&report)?;
        reports.push(report);
        save(folder, &reports)?;
        hash = Some(training.save(folder)?.hash);
    }
    let checkpoint_hash = match hash {
        Some(hash) => hash,
        None => Scorer::load(folder)?.hash().to_owned(),
    };
    Ok(Epochs { reports, checkpoint_hash })
}

/// What a finished training left whose state was removed, so that nothing can go on from it; none where there is no such thing.
pub fn finished(folder: &Path) -> Result<Option<Epochs>> {
    if folder.join(STATE).exists() || !folder.join("teacher.safetensors").exists() {
        return Ok(None);
    }
    let checkpoint_hash = Scorer::load(folder)?.hash().to_owned();
    Ok(Some(Epochs { reports: load(folder, u32::MAX)?, checkpoint_hash }))
}

/// Removes what a finished training would be gone on from, which is most of its folder; its model and reports stay.
pub fn keep_model(folder: &Path) -> Result<()> {
    let state = folder.join(STATE);
    match std::fs::remove_file(&state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(state)(error)),
        // Whoever kept the model before removed it.
        _ => Ok(()),
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("epochs.json")
}

/// The reports of the first `epochs` epochs.
fn load(folder: &Path, epochs: u32) -> Result<Vec<EpochReport>> {
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
fn save(folder: &Path, reports: &[EpochReport]) -> Result<()> {
    let path = file(folder);
    let text = serde_json::to_vec(reports).map_err(|source| Error::Progress { path: path.clone(), source })?;
    Ok(write_whole(&path, &text)?)
}
