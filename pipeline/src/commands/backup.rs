//! `backup`: a copy of the corpus that opens by itself, brought up to date each time.

use std::path::PathBuf;

use marginalia_store::BackupReport;

use crate::console::Console;
use crate::error::Result;

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder or URI: new, empty, or with an earlier backup of this corpus
    #[arg(value_name = "DIR|URI")]
    pub to: PathBuf,
}

/// Runs `backup`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let report = opened.corpus.backup(&args.to, &opened.sql).await?;
    console.print(&report, |report| format!("{}; `marginalia restore` makes a corpus of it", people(report)))
}

/// A copy in words.
pub fn people(report: &BackupReport) -> String {
    format!(
        "{} files ({:.1} MB) copied, {} there already, {} no longer needed and removed; {} faces hashed again in the copy: clean",
        report.copied,
        report.bytes as f64 / 1e6,
        report.kept,
        report.removed,
        report.verified
    )
}
