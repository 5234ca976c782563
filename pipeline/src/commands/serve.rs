//! `serve`: answers others over the network until it is stopped, and keeps the tables in order meanwhile: every label is a
//! commit, and a thousand small files would slow down every answer.

use marginalia_labeling_ui::{Events, Metrics};
use tokio_util::sync::CancellationToken;

use crate::cluster::ClusterArgs;
use crate::console::{Console, Opened};
use crate::error::{Error, Result};
use crate::http::{Forwarder, HttpContext};
use crate::maintenance;
use crate::meter::Meter;
use crate::priority;
use crate::report::{EventReader, Mode, Reporter};
use crate::serving::{Addresses, Listening};
use crate::shutdown;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where.
    #[command(flatten)]
    pub addresses: Addresses,
    /// Other machines.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Runs `serve`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    priority::people_come_first();
    let opened = console.on(&args.cluster).open().await?;
    let token = shutdown::on_signals()?;
    let listening = Listening::bind(&opened, &args.addresses).await?;
    console.print(listening.served(), |served| served.lines().join("\n"))?;
    answer(opened, listening, console.json, &token).await
}

/// Answers on open ports until the token is cancelled, and keeps the tables in order meanwhile.
pub async fn answer(opened: Opened, listening: Listening, json: bool, token: &CancellationToken) -> Result<()> {
    let (events, metrics) = (Events::default(), Metrics::default());
    let readers: Vec<Box<dyn EventReader>> =
        vec![Box::new(Forwarder(events.clone())), Box::new(Meter::new(metrics.clone()))];
    // Where programs read, there is one document: what is served where.
    let mode = if json { Mode::Silent } else { Mode::choose(false) };
    let (reporter, handle) = Reporter::start_beside(mode, readers);
    let (corpus, store) = (opened.corpus.clone(), opened.config.store.clone());
    let announced = corpus.announce("serve");
    let care = tokio::spawn(maintenance::run(corpus, store, reporter, token.clone()));
    let context = HttpContext { opened, events, metrics, arrivals: None, rounds: None };
    let outcome = listening.serve(context, token).await;
    token.cancel();
    care.await.map_err(Error::task)?;
    announced.leave().await;
    handle.finish();
    outcome
}
