//! A simulation of active learning: rounds of the real loop on a corpus of its own, and an annotator who knows the truth.
//!
//! In: a data set's files, a budget to begin with, and what orders the queue. Out: per round how many labels it knew and what
//! its model scores on the test split. A killed simulation goes on from what its corpus holds: rounds and labels are the
//! progress. Settings of rounds are those of the corpus that the experiment belongs to; the audit and second opinions are off,
//! since a simulated annotator has nothing to learn from them. Weights go on from round to round, as in every corpus.

use std::path::Path;

use marginalia_datasets::Classes;
use marginalia_store::tables::labels::Label;
use marginalia_store::tables::rounds::Round;
use marginalia_trainer::TrainerConfig;
use serde_json::{Value, json};

use super::corpora;
use super::outcome::Outcome;
use super::plan::{Cell, Simulation};
use crate::annotator::Annotator;
use crate::computing::on_computing_thread;
use crate::console::Opened;
use crate::error::{Error, Result};
use crate::round::{RoundContext, RoundRequest, run_round};

/// What a simulation came to.
pub(super) struct Simulated {
    /// A point per round.
    pub curve: Vec<Value>,
    /// What the last round's model scores.
    pub outcome: Outcome,
    /// BLAKE3 of that model's file.
    pub checkpoint_hash: String,
    /// Labels that the last round knew.
    pub labelled: u64,
    /// Faces that it took without theirs.
    pub unlabelled: u64,
}

/// Simulates in `folder`; `None` where the token stopped it.
pub(super) async fn simulate(
    cell: &Cell<'_>,
    train: TrainerConfig,
    simulation: &Simulation,
    folder: &Path,
    context: &RoundContext,
) -> Result<Option<Simulated>> {
    let mut opened = corpora::hidden(cell.data_set, cell.labels, cell.seed, folder, &context.config).await?;
    opened.config.train = train;
    opened.config.round = simulation.round.clone();
    if let Some(queue) = &cell.arm.queue {
        opened.config.curriculum.queue.clone_from(queue);
    }
    let here = RoundContext {
        corpus: opened.corpus.clone(),
        sql: opened.sql.clone(),
        config: opened.config.clone(),
        reporter: context.reporter.clone(),
        token: context.token.clone(),
    };
    let request = RoundRequest { trigger: "manual".to_owned(), init: None };
    while done(&opened).await? < simulation.rounds {
        if !is_answered(&opened).await? {
            Annotator::new(&opened).answer(simulation.per_round).await?;
        }
        if run_round(&here, &request).await?.is_none() {
            return Ok(None);
        }
    }
    measured(cell, &opened).await.map(Some)
}

/// Rounds that ended.
async fn done(opened: &Opened) -> Result<u32> {
    Ok(opened.corpus.snapshot().await?.rounds().len() as u32)
}

/// Whether the annotator has answered the last round's queue, perhaps before a kill; all the answers to one are one commit.
/// Before the first round there is none.
async fn is_answered(opened: &Opened) -> Result<bool> {
    let snapshot = opened.corpus.snapshot().await?;
    let Some(last) = snapshot.rounds().last() else { return Ok(true) };
    let answers = snapshot.rows::<Label>(Some("origin = 'simulated'")).await?;
    Ok(answers.iter().any(|answer| answer.created_at > last.finished_at))
}

/// Every round's model on the test split.
async fn measured(cell: &Cell<'_>, opened: &Opened) -> Result<Simulated> {
    let snapshot = opened.corpus.snapshot().await?;
    let classes = Classes::new(opened.corpus.classes().to_vec())?;
    let mut curve = Vec::new();
    let mut last = None;
    for round in snapshot.rounds() {
        let outcome = outcome(cell, round, opened, &classes).await?;
        curve.push(json!({
            "round": round.round,
            "labels": round.labelled,
            "accuracy": outcome.accuracy,
            "macro_f1": outcome.macro_f1,
            "subset_one_share": round.subset_one as f64 / round.scored.max(1) as f64,
        }));
        last = Some((round, outcome));
    }
    let (round, outcome) = last.ok_or(Error::NothingToEvaluate)?;
    Ok(Simulated {
        curve,
        outcome,
        checkpoint_hash: round.checkpoint_hash.clone(),
        labelled: round.labelled,
        unlabelled: round.unlabelled,
    })
}

async fn outcome(cell: &Cell<'_>, round: &Round, opened: &Opened, classes: &Classes) -> Result<Outcome> {
    let folder = opened.corpus.checkpoint(round).await?;
    let (data_set, classes, threads) = (cell.data_set.clone(), classes.clone(), opened.config.train.threads);
    on_computing_thread(move || {
        Outcome::measure(&folder, threads, &data_set.test_faces(&classes), data_set.source(), &classes)
    })
    .await?
}
