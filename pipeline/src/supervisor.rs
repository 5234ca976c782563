//! The long-lived loop: rounds when they are due, and everything of `run` in one process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use marginalia_labeling_ui::{Events, Metrics};
use marginalia_store::RoundWriter;
use tokio_util::sync::CancellationToken;

use crate::arrivals::ArrivalScorer;
use crate::console::Opened;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::http::HttpContext;
use crate::ingest::{IngestContext, IngestRequest, ingest};
use crate::maintenance;
use crate::report::Reporter;
use crate::round::trigger::Triggers;
use crate::round::{RoundContext, RoundRequest, RoundRequests, run_round};
use crate::serving::Listening;

/// How often to look whether a round is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a round that failed is not tried again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Runs a round whenever one is due or asked for, until the token is cancelled.
///
/// A round that fails is reported by its own event; the loop waits for a change of the corpus and goes on.
pub async fn train_when_due(context: &RoundContext, every: Option<Duration>, requests: &RoundRequests) -> Result<()> {
    let mut triggers = Triggers::new(&context.corpus, &context.sql, &context.config.round, every);
    let look_every = context.corpus.home().look_every(LOOK_EVERY);
    loop {
        let due = tokio::select! {
            () = context.token.cancelled() => return Ok(()),
            () = requests.asked() => Some("manual"),
            () = tokio::time::sleep(look_every) => triggers.due().await?,
        };
        let Some(trigger) = due else { continue };
        let context = RoundContext { token: context.token.child_token(), ..context.clone() };
        requests.begin(context.token.clone());
        let outcome = run_round(&context, &RoundRequest { trigger: trigger.to_owned(), init: None }).await;
        if requests.end() {
            give_up(&context).await?;
            triggers.given_up();
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

/// Gives up the round that somebody stopped, unless it was committed before it heard of that.
async fn give_up(context: &RoundContext) -> Result<()> {
    let writer = match RoundWriter::resume(&context.corpus).await {
        Ok(Some(writer)) => writer,
        Ok(None) => return Ok(()),
        // Another process has taken the round over meanwhile, and it is that one's now.
        Err(error) if error.is_locked() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let round = writer.plan().round;
    writer.abort().await?;
    context.reporter.emit(Event::RoundAborted { round, reason: "it was stopped by hand".to_owned() });
    Ok(())
}

/// What `run` does besides rounds and care.
pub struct Work {
    /// Folders to watch.
    pub paths: Vec<PathBuf>,
    /// Stream of their faces.
    pub stream: String,
    /// The open ports.
    pub listening: Listening,
    /// Who hears over HTTP of what happens.
    pub events: Events,
    /// What is counted.
    pub metrics: Metrics,
}

/// `run`: ingest and watch, score arrivals, train when due, serve, keep the tables in order.
pub async fn run_all(opened: &Opened, work: Work, reporter: &Reporter, token: &CancellationToken) -> Result<()> {
    let requests = RoundRequests::default();
    let (arrivals, scorer) = ArrivalScorer::new(opened, reporter, requests.training());
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
    let served = work.listening.served().clone();
    let http = HttpContext {
        opened: opened.clone(),
        events: work.events,
        metrics: work.metrics,
        arrivals: Some(arrivals.clone()),
        rounds: Some(Arc::new(requests.clone())),
    };
    let mut rounds = tokio::spawn(async move { train_when_due(&rounds, None, &requests).await });
    let mut serving = tokio::spawn({
        let token = token.clone();
        async move { work.listening.serve(http, &token).await }
    });
    reporter.emit(Event::Serving { served });
    let context = IngestContext {
        corpus: opened.corpus.clone(),
        config: opened.config.ingest.clone(),
        reporter: reporter.clone(),
        token: token.clone(),
        arrivals: Some(arrivals),
    };
    let (mut rounds_ended, mut serving_ended) = (false, false);
    let mut outcome = tokio::select! {
        ingested = watch_or_wait(&context, work.paths, work.stream) => ingested,
        ended = &mut rounds => {
            rounds_ended = true;
            ended.map_err(Error::task).flatten()
        }
        ended = &mut serving => {
            serving_ended = true;
            ended.map_err(Error::task).flatten()
        }
    };
    // Whatever ended first ends the rest, and `run` returns only when all of them have.
    token.cancel();
    if !rounds_ended {
        outcome = outcome.and(rounds.await.map_err(Error::task).flatten());
    }
    if !serving_ended {
        outcome = outcome.and(serving.await.map_err(Error::task).flatten());
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
