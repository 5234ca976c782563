//! `compact`: maintenance now instead of in the background.

use std::time::Duration;

use marginalia_store::{Care, Effort};

use crate::console::Console;
use crate::error::Result;

/// Arguments of `compact`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `compact`.
pub async fn run(_args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let keep = Duration::from_secs(60 * opened.config.store.keep_untagged_minutes);
    opened.corpus.sweep().await?;
    let report = opened.corpus.care(Care { clean_up: Some(keep), effort: Effort::Thorough }).await?;
    console.print(&report, |report| {
        let names: Vec<&str> = report.compacted.iter().map(|table| table.name()).collect();
        let mut text = format!(
            "compacted {}; indexed {}; removed versions older than {} minutes that no round names",
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") },
            if report.indexed.is_empty() { "nothing".to_owned() } else { report.indexed.join(", ") },
            opened.config.store.keep_untagged_minutes
        );
        if report.copies > 0 {
            text.push_str(&format!("; removed {} copies of faces", report.copies));
        }
        if let Some(reason) = &report.not_cleaned {
            text.push_str(&format!(
                "\nno version was removed after all: {reason}; once the clock is right, do it again"
            ));
        }
        text
    })
}
