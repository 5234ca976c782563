//! A finished round trained once more, from what it read.
//!
//! In: a round's marker: its settings, its curriculum, its seed and the versions of the tables that it read. Out: whether
//! the same checkpoint came of it, byte for byte, and where it did not, from which epoch on. The corpus is not changed.

use std::path::PathBuf;

use marginalia_datasets::Classes;
use marginalia_store::tables::epochs::Epoch;
use marginalia_store::{Session, SqlLimits};
use serde::Serialize;

use super::prepare::prepare;
use super::training::{Job, Trained, stopped_by};
use super::{PlannedConfig, RoundContext, parameters};
use crate::computing::on_computing_thread;
use crate::curriculum::Curriculum;
use crate::error::{Error, Result};

/// What training a round again showed.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// The round.
    pub round: u32,
    /// Whether the checkpoint is the same, byte for byte.
    pub same: bool,
    /// BLAKE3 of the teacher's checkpoint, as its marker says.
    pub checkpoint_hash: String,
    /// BLAKE3 of the teacher's checkpoint that came of it now.
    pub replayed_hash: String,
    /// The first epoch whose mean loss is another one.
    pub first_other_epoch: Option<u32>,
    /// Seconds it took.
    pub seconds: f64,
}

/// Trains round `number` again in `folder`, which must not hold a checkpoint.
///
/// # Errors
/// A round that does not exist, whose tables are no longer kept as it read them, or whose first weights are gone.
pub async fn replay(context: &RoundContext, number: u32, folder: PathBuf) -> Result<Replay> {
    let started = std::time::Instant::now();
    let corpus = &context.corpus;
    let snapshot = corpus.snapshot_read_by(number).await?;
    let now = corpus.snapshot().await?;
    let marker = now.round(number)?.clone();
    let plan = |source| Error::Plan { round: number, source };
    let mut planned: PlannedConfig = serde_json::from_str(&marker.config).map_err(plan)?;
    // What it measured then stands there already.
    planned.round.tensorboard = false;
    let curriculum: Curriculum = serde_json::from_str(&marker.curriculum).map_err(plan)?;
    if let Some(continues) = &planned.continues {
        corpus.home().pull(&continues.to_string_lossy()).await?;
    }
    let session = Session::open(&context.sql, snapshot, SqlLimits::default()).await?;
    let parameters = parameters(&planned, marker.seed);
    let data = prepare(&session, &curriculum, parameters, planned.train.soft_targets).await?.data;
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let (control, stopper) = stopped_by(&context.token);
    let job = Job {
        planned,
        classes: Classes::new(corpus.classes().to_vec())?,
        corpus: corpus.path().to_owned(),
        folder,
        round: number,
        data,
        control,
        reporter: context.reporter.clone(),
    };
    let outcome = on_computing_thread(move || job.run()).await?;
    stopper.abort();
    let trained = match outcome {
        Err(Error::Trainer(marginalia_trainer::Error::Cancelled)) => {
            return Err(Error::Interrupted { what: "the replay" });
        }
        other => other?,
    };
    let before = now.rows::<Epoch>(Some(&format!("round = {number}"))).await?;
    Ok(Replay {
        round: number,
        same: trained.checkpoint_hash == marker.checkpoint_hash,
        first_other_epoch: first_other(&trained, number, corpus.classes(), &before),
        checkpoint_hash: marker.checkpoint_hash,
        replayed_hash: trained.checkpoint_hash,
        seconds: started.elapsed().as_secs_f64(),
    })
}

fn first_other(trained: &Trained, round: u32, classes: &[String], before: &[Epoch]) -> Option<u32> {
    let (epochs, _) = trained.rows(round, classes);
    let other = epochs.iter().filter(|epoch| {
        let then = before.iter().find(|then| then.epoch == epoch.epoch);
        then.is_none_or(|then| then.loss.to_bits() != epoch.loss.to_bits())
    });
    other.map(|epoch| epoch.epoch).min()
}
