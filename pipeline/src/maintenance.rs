//! The background task that keeps the tables in order while something is written.

use std::time::{Duration, Instant};

use marginalia_store::{Care, Corpus, Effort, TableId};
use tokio_util::sync::CancellationToken;

use crate::config::StoreConfig;
use crate::events::Event;
use crate::report::Reporter;

/// How often it is looked whether a pass should come before its turn.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Compacts, indexes and cleans up at the configured pace, and as soon as small fragments pile up, until the token is
/// cancelled.
///
/// A pass that fails is said and tried again at the next turn: maintenance never stops the work it serves.
pub async fn run(corpus: Corpus, config: StoreConfig, reporter: Reporter, token: CancellationToken) {
    let pace = Duration::from_secs(config.maintenance_every_seconds.max(1));
    let clean_every = Duration::from_secs(config.cleanup_every_seconds.max(1));
    let keep = Duration::from_secs(60 * config.keep_untagged_minutes);
    let (mut cleaned, mut passed) = (Instant::now(), Instant::now());
    match corpus.sweep().await {
        // Another process is at it.
        Ok(()) => {}
        Err(error) if error.is_locked() => {}
        Err(error) => reporter.warn(format!("what killed processes left could not be removed: {error}")),
    }
    loop {
        let effort = tokio::select! {
            () = token.cancelled() => return,
            effort = turn(&corpus, passed + pace) => effort,
        };
        let started = Instant::now();
        let clean = effort == Effort::Usual && cleaned.elapsed() >= clean_every;
        if effort == Effort::Usual {
            passed = started;
        }
        match corpus.care(Care { clean_up: clean.then_some(keep), effort }).await {
            Ok(report) => {
                let freed = Vec::from_iter((report.copies > 0).then_some(TableId::Faces));
                let work = [("compacted", report.compacted), ("cleaned", report.cleaned), ("freed of copies", freed)];
                for (work, table) in
                    work.into_iter().flat_map(|(work, tables)| tables.into_iter().map(move |t| (work, t)))
                {
                    reporter.emit(Event::Maintained {
                        table: table.name().to_owned(),
                        work: work.to_owned(),
                        seconds: started.elapsed().as_secs_f64(),
                    });
                }
                if let Some(reason) = report.not_cleaned {
                    reporter.warn(format!("no old version was removed: {reason}"));
                }
                if clean {
                    cleaned = Instant::now();
                }
            }
            // What the disk kept is unknown: nothing more is to be written.
            Err(error) if error.stops_writing() => {
                reporter.warn(error.to_string());
                token.cancel();
            }
            // Another process is at it.
            Err(error) if error.is_locked() => {}
            Err(error) => reporter.warn(format!("maintenance failed and is tried again: {error}")),
        }
    }
}

/// Returns when a pass is due: at its turn, or a hasty one before it where fragments pile up.
async fn turn(corpus: &Corpus, due: Instant) -> Effort {
    let look_every = corpus.home().look_every(LOOK_EVERY);
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Effort::Usual;
        }
        tokio::time::sleep(look_every.min(left)).await;
        // What cannot be read is said by the pass itself, at its turn.
        if corpus.is_crowded().await.unwrap_or(false) {
            return Effort::Hasty;
        }
    }
}
