//! `ingest`: takes in the images of folders, once or as they come.

use std::path::PathBuf;

use tokio::sync::watch;

use crate::arrivals::ArrivalScorer;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::ingest::{IngestContext, IngestRequest, ingest};
use crate::{maintenance, priority, shutdown};

/// Arguments of `ingest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders or files
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Go on as files come, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// Name the faces get as their stream
    #[arg(long, default_value = "ingest", value_name = "NAME")]
    pub stream: String,
}

/// Runs `ingest`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    if args.watch {
        priority::people_come_first();
    }
    let opened = console.open().await?;
    let token = shutdown::on_signals()?;
    let (reporter, handle) = console.report();
    let announced = opened.corpus.announce("ingest");
    let (_idle, training) = watch::channel(false);
    let (arrivals, scorer) = ArrivalScorer::new(&opened, &reporter, training);
    let background = token.child_token();
    let care = tokio::spawn(maintenance::run(
        opened.corpus.clone(),
        opened.config.store.clone(),
        reporter.clone(),
        background.clone(),
    ));
    // A single pass leaves scoring to the next round: it would only make it wait.
    let scoring = args.watch.then(|| tokio::spawn(scorer.run(background.clone())));
    let context = IngestContext {
        corpus: opened.corpus,
        config: opened.config.ingest,
        reporter,
        token,
        arrivals: args.watch.then_some(arrivals),
    };
    let request = IngestRequest { paths: args.paths, stream: args.stream, watch: args.watch };
    let counts = ingest(&context, &request).await;
    background.cancel();
    care.await.map_err(Error::task)?;
    if let Some(scoring) = scoring {
        scoring.await.map_err(Error::task)??;
    }
    announced.leave().await;
    handle.finish();
    console.print(&counts?, |counts| {
        format!(
            "{} files seen: {} new faces, {} repeats, {} rejected (see table rejects), {} skipped",
            counts.seen, counts.new, counts.repeats, counts.rejected, counts.skipped
        )
    })
}
