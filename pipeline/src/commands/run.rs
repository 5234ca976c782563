//! `run`: ingest, train, serve and care for the corpus in one process.

use std::path::PathBuf;

use marginalia_labeling_ui::{Events, Metrics};

use crate::console::Console;
use crate::error::Result;
use crate::http::Forwarder;
use crate::meter::Meter;
use crate::report::{EventReader, Mode, Reporter};
use crate::serving::{Addresses, Listening};
use crate::{priority, shutdown, supervisor};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders to watch
    pub paths: Vec<PathBuf>,
    /// Name the faces get as their stream
    #[arg(long, default_value = "run", value_name = "NAME")]
    pub stream: String,
    /// Where to serve.
    #[command(flatten)]
    pub addresses: Addresses,
}

/// Runs `run`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    priority::people_come_first();
    let opened = console.open().await?;
    let token = shutdown::on_signals()?;
    let listening = Listening::bind(&opened, &args.addresses).await?;
    let events = Events::default();
    let metrics = Metrics::default();
    let readers: Vec<Box<dyn EventReader>> =
        vec![Box::new(Forwarder(events.clone())), Box::new(Meter::new(metrics.clone()))];
    let (reporter, handle) = Reporter::start_beside(Mode::choose(console.json), readers);
    let work = supervisor::Work { paths: args.paths, stream: args.stream, listening, events, metrics };
    let announced = opened.corpus.announce("run");
    let outcome = supervisor::run_all(&opened, work, &reporter, &token).await;
    announced.leave().await;
    handle.finish();
    outcome
}
