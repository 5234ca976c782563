//! `run`: ingest, train and care for the corpus in one process.

use std::path::PathBuf;

use crate::console::Console;
use crate::error::Result;
use crate::{shutdown, supervisor};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders to watch
    pub paths: Vec<PathBuf>,
    /// Name the faces get as their stream
    #[arg(long, default_value = "run", value_name = "NAME")]
    pub stream: String,
}

/// Runs `run`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let token = shutdown::on_signals()?;
    let (reporter, handle) = console.report();
    let outcome = supervisor::run_all(&opened, args.paths, args.stream, &reporter, &token).await;
    handle.finish();
    outcome
}
