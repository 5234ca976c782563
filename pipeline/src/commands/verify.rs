//! `verify`: reads everything back; exit code 1 where something is found.

use std::time::Instant;

use marginalia_store::VerifyReport;

use crate::console::Console;
use crate::error::{Error, Result};
use crate::tables::table;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `verify`.
pub async fn run(_args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let started = Instant::now();
    let bar = indicatif::ProgressBar::new(0).with_message("hashing images");
    let mut progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let report = opened.corpus.verify(&opened.sql, &mut progress).await?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    console.print(&report, |report| people(report, seconds))?;
    match report.findings.len() {
        0 => Ok(()),
        findings => Err(Error::VerifyFound { findings }),
    }
}

fn people(report: &VerifyReport, seconds: f64) -> String {
    let rows = report
        .tables
        .iter()
        .map(|(table, rows, version)| vec![table.name().to_owned(), rows.to_string(), version.to_string()]);
    let mut lines = vec![
        table(&["table", "rows", "version"], &[1, 2], rows).to_string(),
        format!(
            "{} images ({:.1} MB) hashed again, {} rounds, in {seconds:.1} s",
            report.faces,
            report.bytes as f64 / 1e6,
            report.rounds
        ),
    ];
    if let Some(round) = report.unfinished_round {
        lines.push(format!("round {round} was not finished; the next `train` or `run` resumes it"));
    }
    lines.extend(report.findings.iter().map(|found| format!("{} in {}: {}", found.code, found.table, found.detail)));
    lines.push(if report.is_clean() { "clean".to_owned() } else { format!("{} findings", report.findings.len()) });
    lines.join("\n")
}
