//! `bench label`: from a judgement to its acknowledgement, in a corpus of its own.

use std::time::Instant;

use marginalia_labeling_ui::{Answer, Judge, Judgement, Lane, Origin};
use serde_json::json;

use super::quantile;
use crate::commands::init;
use crate::console::{Console, Opened};
use crate::error::{Error, Result};

/// Arguments of `bench label`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Judgements
    #[arg(long, default_value_t = 200)]
    pub labels: u32,
}

/// Runs `bench label`.
pub async fn run(args: &Args, console: &Console) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("marginalia-bench-label-{}", std::process::id()));
    init::create(&folder, None).await?;
    let opened = Opened::at(&folder).await?;
    let judge = Judge::new(&opened.corpus);
    let mut milliseconds = Vec::new();
    for i in 0..args.labels {
        let answer = Answer::Expression(opened.corpus.classes()[i as usize % opened.corpus.classes().len()].clone());
        let judgement = Judgement::new(format!("{i:064x}"), answer, "bench", Origin::Simulated, Lane::Queue);
        let started = Instant::now();
        judge.submit(vec![judgement]).await?;
        milliseconds.push(1000.0 * started.elapsed().as_secs_f64());
    }
    drop(opened);
    std::fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
    let (p50, p95) = (quantile(milliseconds.clone(), 0.5), quantile(milliseconds, 0.95));
    let value = json!({ "labels": args.labels, "p50_ms": p50, "p95_ms": p95 });
    console.print(&value, |_| format!("{} labels: p50 {p50:.1} ms, p95 {p95:.1} ms until on disk", args.labels))
}
