//! A simulation of active learning: rounds of the real loop on a corpus of its own, and an annotator who knows the truth.
//!
//! In: a data set's files, a budget to begin with, and what orders the queue. Out: per round how many labels it knew and what
//! its model scores on the test split. A killed simulation goes on from what its corpus holds: rounds and labels are the
//! progress. The audit and second opinions are off, since a simulated annotator has nothing to learn from them.

use std::path::Path;

use marginalia_datasets::Classes;
use marginalia_store::TableId;
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
    Simulation { rounds, per_round }: Simulation,
    folder: &Path,
    context: &RoundContext,
) -> Result<Option<Simulated>> {
    let mut opened = corpora::hidden(cell.data_set, cell.labels, cell.seed, folder, &context.config).await?;
    opened.config.train = train;
    opened.config.round.audit_share = 0.0;
    opened.config.round.relabel_share = 0.0;
    opened.config.round.map_faces = 0;
    opened.config.round.keep_rounds = rounds;
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
    for round in 1..=rounds {
        if round > 1 && answers(&opened).await? < u64::from(round - 1) * per_round as u64 {
            Annotator::new(&opened).answer(per_round).await?;
        }
        let done = opened.corpus.snapshot().await?.rounds().len() as u32;
        if done < round && run_round(&here, &request).await?.is_none() {
            return Ok(None);
        }
    }
    measured(cell, &opened).await.map(Some)
}

/// Labels of the simulated annotator.
async fn answers(opened: &Opened) -> Result<u64> {
    Ok(opened.corpus.snapshot().await?.count(TableId::Labels, Some("origin = 'simulated'")).await?)
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
