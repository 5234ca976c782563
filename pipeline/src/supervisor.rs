//! The long-lived loop: rounds when they are due, and everything of `run` in one process.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use crate::arrivals::ArrivalScorer;
use crate::console::Opened;
use crate::error::{Error, Result};
use crate::ingest::{IngestContext, IngestRequest, ingest};
use crate::maintenance;
use crate::report::Reporter;
use crate::round::trigger::Triggers;
use crate::round::{RoundContext, RoundRequest, run_round};
use tokio_util::sync::CancellationToken;

/// How often to look whether a round is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a round that failed is not tried again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Runs a round whenever one is due, until the token is cancelled. `training` tells others while one runs.
///
/// A round that fails is reported by its own event; the loop waits for a change of the corpus and goes on.
pub async fn train_when_due(
    context: &RoundContext,
    every: Option<Duration>,
    training: Option<watch::Sender<bool>>,
) -> Result<()> {
    let mut triggers = Triggers::new(&context.corpus, &context.sql, &context.config.round, every);
    loop {
        tokio::select! {
            () = context.token.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let Some(trigger) = triggers.due().await? else { continue };
        if let Some(training) = &training {
            training.send_replace(true);
        }
        let outcome = run_round(context, &RoundRequest { trigger: trigger.to_owned(), init: None }).await;
        if let Some(training) = &training {
            training.send_replace(false);
        }
        match outcome {
            Ok(_) => {}
            // Another process runs the round.
            Err(Error::Store(error)) if error.is_locked() => {}
            Err(Error::Store(error)) if error.stops_writing() => return Err(error.into()),
            // The stream goes on; the next change of faces or labels tries again, at the earliest after a pause.
            Err(error) => {
                context.reporter.warn(format!("no round: {error}"));
                tokio::select! {
                    () = context.token.cancelled() => return Ok(()),
                    () = tokio::time::sleep(PAUSE_AFTER_FAILURE) => {}
                }
            }
        }
    }
}

/// `run`: ingest and watch, score arrivals, train when due, keep the tables in order.
pub async fn run_all(
    opened: &Opened,
    paths: Vec<PathBuf>,
    stream: String,
    reporter: &Reporter,
    token: &CancellationToken,
) -> Result<()> {
    let (training, is_training) = watch::channel(false);
    let (arrivals, scorer) = ArrivalScorer::new(&opened.corpus, &opened.sql, reporter, is_training);
    let care = tokio::spawn(maintenance::run(
        opened.corpus.clone(),
        opened.config.store.clone(),
        reporter.clone(),
        token.clone(),
    ));
    let scoring = tokio::spawn(scorer.run(token.clone()));
    let rounds = RoundContext {
        corpus: opened.corpus.clone(),
        sql: opened.sql.clone(),
        config: opened.config.clone(),
        reporter: reporter.clone(),
        token: token.clone(),
    };
    let mut rounds = tokio::spawn(async move { train_when_due(&rounds, None, Some(training)).await });
    let context = IngestContext {
        corpus: opened.corpus.clone(),
        config: opened.config.ingest.clone(),
        reporter: reporter.clone(),
        token: token.clone(),
        arrivals: Some(arrivals),
    };
    let mut rounds_ended = false;
    let mut outcome = tokio::select! {
        ingested = watch_or_wait(&context, paths, stream) => ingested,
        ended = &mut rounds => {
            rounds_ended = true;
            ended.map_err(Error::task).flatten()
        }
    };
    // Whatever ended first ends the rest, and `run` returns only when all of them have.
    token.cancel();
    if !rounds_ended {
        outcome = outcome.and(rounds.await.map_err(Error::task).flatten());
    }
    care.await.map_err(Error::task)?;
    scoring.await.map_err(Error::task)??;
    outcome
}

/// Watches the folders; without any, faces come from other processes and there is nothing to do but wait.
async fn watch_or_wait(context: &IngestContext, paths: Vec<PathBuf>, stream: String) -> Result<()> {
    if paths.is_empty() {
        context.token.cancelled().await;
        return Ok(());
    }
    ingest(context, &IngestRequest { paths, stream, watch: true }).await.map(|_| ())
}
