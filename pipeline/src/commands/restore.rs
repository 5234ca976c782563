//! `restore`: a backup becomes a corpus again.

use std::path::PathBuf;

use marginalia_store::{SqlRuntime, restore};

use super::backup::people;
use crate::console::Console;
use crate::error::Result;

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The backup, a folder or URI
    #[arg(value_name = "SOURCE")]
    pub from: PathBuf,
    /// Folder or URI of the new corpus
    #[arg(value_name = "DIR|URI")]
    pub to: PathBuf,
}

/// Runs `restore`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let report = restore(&args.from, &args.to, &SqlRuntime::new()?).await?;
    console.print(&report, |report| format!("{}; the corpus is at {}", people(report), args.to.display()))
}
