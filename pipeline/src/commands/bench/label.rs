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
    /// People who judge at the same time, each one face after the other
    #[arg(long, default_value_t = 1)]
    pub annotators: u32,
}

/// Runs `bench label`.
pub async fn run(args: &Args, console: &Console) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("marginalia-bench-label-{}", std::process::id()));
    init::create(&folder, None).await?;
    let opened = Opened::at(&folder).await?;
    let started = Instant::now();
    let share = args.labels / args.annotators.max(1);
    let annotators: Vec<_> =
        (0..args.annotators.max(1)).map(|annotator| tokio::spawn(annotate(opened.clone(), annotator, share))).collect();
    let mut milliseconds = Vec::new();
    for annotator in annotators {
        milliseconds.extend(annotator.await.map_err(Error::task)??);
    }
    let rate = milliseconds.len() as f64 / started.elapsed().as_secs_f64();
    drop(opened);
    std::fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
    let (p50, p95) = (quantile(milliseconds.clone(), 0.5), quantile(milliseconds, 0.95));
    let value = json!({
        "labels": args.labels, "annotators": args.annotators, "labels_per_second": rate, "p50_ms": p50, "p95_ms": p95,
    });
    console.print(&value, |_| {
        format!("{} labels: p50 {p50:.1} ms, p95 {p95:.1} ms until on disk, {rate:.0} labels/s", args.labels)
    })
}

/// One after the other; milliseconds of each.
async fn annotate(opened: Opened, annotator: u32, labels: u32) -> Result<Vec<f64>> {
    let judge = Judge::new(&opened.corpus);
    let classes = opened.corpus.classes();
    let mut milliseconds = Vec::new();
    for i in 0..labels {
        let answer = Answer::Expression(classes[i as usize % classes.len()].clone());
        let face_id = format!("{annotator:032x}{i:032x}");
        let judgement = Judgement::new(face_id, answer, format!("bench-{annotator}"), Origin::Simulated, Lane::Queue);
        let started = Instant::now();
        judge.submit(vec![judgement]).await?;
        milliseconds.push(1000.0 * started.elapsed().as_secs_f64());
    }
    Ok(milliseconds)
}
