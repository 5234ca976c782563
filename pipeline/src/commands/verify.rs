//! `verify`: reads everything back; exit code 1 where something is found.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use marginalia_store::{Corpus, Home, VerifyOptions, VerifyReport};

use crate::config::{Config, find_corpus};
use crate::console::{Console, Opened, store_options};
use crate::error::{Error, Result};
use crate::tables::table;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hash only so many percent of the images, drawn anew each time
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    pub sample: Option<f64>,
    /// Mend what can be mended without losing anything acknowledged, and say what was done
    #[arg(long)]
    pub repair: bool,
}

fn percentage(text: &str) -> std::result::Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err("a percentage above 0 and at most 100".to_owned()),
    }
}

/// Runs `verify`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let root = find_corpus(console.corpus.as_deref())?;
    let mut set_aside = Vec::new();
    if args.repair {
        let home = Home::attach(&root).await?;
        let config = Config::load(home.folder())?;
        set_aside = Corpus::open_past_pins(home, store_options(&config)).await?.1;
    }
    let opened = Opened::at(&root).await?;
    let started = Instant::now();
    let bar = ProgressBar::new(0).with_message("hashing images");
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {per_sec}") {
        bar.set_style(style);
    }
    let mut progress = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    };
    let options = VerifyOptions { sample: args.sample.unwrap_or(1.0), repair: args.repair };
    let mut report = opened.corpus.verify(&opened.sql, options, &mut progress).await?;
    bar.finish_and_clear();
    let went_back = set_aside.iter().map(|it| format!("{} was set aside: {}", it.file.display(), it.reason));
    report.repaired.splice(0..0, went_back);
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
            "{} images ({:.1} MB) hashed again, {:.0} a second; {} rounds; {seconds:.1} s",
            report.faces,
            report.bytes as f64 / 1e6,
            report.faces as f64 / seconds.max(1e-9),
            report.rounds
        ),
    ];
    if let Some(round) = report.unfinished_round {
        lines.push(format!("round {round} was not finished; the next `train` or `run` resumes it"));
    }
    lines.extend(report.set_aside.iter().map(|file| {
        format!("{} was set aside by an earlier repair; delete it once you have no more use for it", file.display())
    }));
    lines.extend(report.repaired.iter().map(|what| format!("mended: {what}")));
    lines.extend(report.findings.iter().map(|found| format!("{} in {}: {}", found.code, found.table, found.detail)));
    lines.push(if report.is_clean() { "clean".to_owned() } else { format!("{} findings", report.findings.len()) });
    lines.join("\n")
}
