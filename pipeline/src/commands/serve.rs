//! `serve`: answers others over the network until it is stopped.

use marginalia_labeling_ui::{Events, Metrics};

use crate::console::Console;
use crate::error::Result;
use crate::http::HttpContext;
use crate::serving::{Addresses, Listening};
use crate::shutdown;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where.
    #[command(flatten)]
    pub addresses: Addresses,
}

/// Runs `serve`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let token = shutdown::on_signals()?;
    let listening = Listening::bind(&opened, &args.addresses).await?;
    console.print(listening.served(), |served| served.lines().join("\n"))?;
    let context =
        HttpContext { opened, events: Events::default(), metrics: Metrics::default(), arrivals: None, rounds: None };
    listening.serve(context, &token).await
}
