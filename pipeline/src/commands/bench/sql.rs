//! `bench sql`: how long the views take on the corpus as it is.

use std::time::Instant;

use serde_json::json;

use super::median;
use crate::console::Console;
use crate::error::Result;
use crate::tables::table;

/// Arguments of `bench sql`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs of each query; the median counts
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
}

const QUERIES: [(&str, &str); 5] = [
    ("count faces", "select count(*) from faces"),
    ("class_balance", "select * from class_balance"),
    ("confidence by subset", "select subset, count(*), avg(confidence) from current_predictions group by subset"),
    ("corpus", "select origin, count(*) from corpus group by origin"),
    ("top of the queue", "select * from queue order by rank limit 50"),
];

/// Runs `bench sql`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let mut rows = Vec::new();
    for (name, sql) in QUERIES {
        let mut seconds = Vec::new();
        for _ in 0..args.runs.max(1) {
            let started = Instant::now();
            opened.session().await?.query_trusted(sql, Vec::new()).await?.collect().await?;
            seconds.push(started.elapsed().as_secs_f64());
        }
        rows.push((name, median(seconds)));
    }
    let value: Vec<_> = rows.iter().map(|(name, seconds)| json!({ "query": name, "seconds": seconds })).collect();
    console.print(&value, |_| {
        let rows = rows.iter().map(|(name, seconds)| vec![(*name).to_owned(), format!("{:.1}", 1000.0 * seconds)]);
        table(&["query", "ms, session included"], &[1], rows).to_string()
    })
}
