//! `bench ingest`: a folder into a fresh corpus, as `ingest` does it.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{median, peak_memory};
use crate::commands::init;
use crate::console::{Console, Opened};
use crate::error::{Error, Result};
use crate::ingest::{IngestContext, IngestRequest, ingest};
use crate::report::{Mode, Reporter};

/// Arguments of `bench ingest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of images
    pub path: PathBuf,
    /// Runs, each into a corpus of its own; the median counts
    #[arg(long, default_value_t = 1)]
    pub runs: usize,
    /// Where the corpora are made, and removed [default: the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

/// Runs `bench ingest`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let scratch = args.scratch.unwrap_or_else(std::env::temp_dir);
    let mut seconds = Vec::new();
    let mut last = None;
    for run in 0..args.runs.max(1) {
        let folder = scratch.join(format!("marginalia-bench-{}-{run}", std::process::id()));
        init::create(&folder, None).await?;
        let opened = Opened::at(&folder).await?;
        let (reporter, handle) = Reporter::start(Mode::Silent);
        let context = IngestContext {
            corpus: opened.corpus,
            config: opened.config.ingest,
            reporter,
            token: CancellationToken::new(),
            arrivals: None,
        };
        let request = IngestRequest { paths: vec![args.path.clone()], stream: "bench".to_owned(), watch: false };
        let started = Instant::now();
        let counts = ingest(&context, &request).await?;
        seconds.push(started.elapsed().as_secs_f64());
        handle.finish();
        last = Some(counts);
        std::fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
    }
    let counts = last.unwrap_or_default();
    let middle = median(seconds.clone());
    let value = json!({
        "images": counts.seen,
        "distinct": counts.new,
        "rejected": counts.rejected,
        "seconds": middle,
        "runs": seconds,
        "images_per_second": counts.seen as f64 / middle,
        "peak_memory_bytes": peak_memory(),
    });
    console.print(&value, |value| {
        format!(
            "{} images ({} distinct) in {middle:.2} s: {:.0} images/s, peak memory {} MB",
            counts.seen,
            counts.new,
            counts.seen as f64 / middle,
            value["peak_memory_bytes"].as_u64().unwrap_or(0) / 1_000_000
        )
    })
}
