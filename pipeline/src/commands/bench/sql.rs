//! `bench sql`: how long the views take on the corpus as it is, warm: one session, planning included, the median of several
//! runs. `bench/peers/duckdb_sql.py` asks the same of DuckDB.

use std::time::Instant;

use serde::Deserialize;
use serde_json::json;

use super::{median, peak_memory};
use crate::cluster::ClusterArgs;
use crate::console::Console;
use crate::error::Result;
use crate::tables::table;

/// Arguments of `bench sql`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs of each query, after one to warm up; the median counts
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// Other machines.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// The questions that people and pages ask most; FACE stands for a face's id.
const QUERIES: [(&str, &str); 12] = [
    ("class_balance", "select * from class_balance order by expression"),
    (
        "predictions by class",
        "select expression, subset, count(*) as n, avg(confidence) as mean from current_predictions group by 1, 2 order by 1, 2",
    ),
    ("corpus by origin", "select origin, expression, count(*) as n from corpus group by 1, 2 order by 1, 2"),
    ("corpus, one face", "select * from corpus where face_id = 'FACE'"),
    ("queue, top 100", "select * from queue order by rank limit 100"),
    ("confidence_histogram", "select * from confidence_histogram"),
    ("margin_vs_confidence", "select * from margin_vs_confidence"),
    ("confidence_drift", "select * from confidence_drift"),
    ("subset_flow", "select * from subset_flow"),
    ("annotator_agreement", "select * from annotator_agreement"),
    ("relabel_candidates", "select * from relabel_candidates order by rank limit 100"),
    ("ingest_rate", "select * from ingest_rate"),
];

#[derive(Deserialize)]
struct FaceId {
    face_id: String,
}

/// Runs `bench sql`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.on(&args.cluster).open().await?;
    let begun = Instant::now();
    let session = opened.session().await?;
    let opening = begun.elapsed().as_secs_f64();
    let middle =
        "select max(face_id) as face_id from (select face_id from current_predictions order by face_id limit 1000)";
    let faces: Vec<FaceId> = session.query_trusted(middle, Vec::new()).await?.rows().await?;
    let face = faces.into_iter().next().map_or_else(String::new, |row| row.face_id);
    let mut queries = Vec::new();
    for (name, sql) in QUERIES {
        let sql = sql.replace("FACE", &face);
        let mut seconds = Vec::new();
        for _ in 0..=args.runs.max(1) {
            let begun = Instant::now();
            session.query_trusted(&sql, Vec::new()).await?.collect().await?;
            seconds.push(begun.elapsed().as_secs_f64());
        }
        seconds.remove(0);
        queries.push((name, sql, median(seconds)));
    }
    let list: Vec<_> =
        queries.iter().map(|(name, sql, seconds)| json!({ "query": name, "sql": sql, "seconds": seconds })).collect();
    let value = json!({ "opening_seconds": opening, "queries": list, "peak_memory": peak_memory() });
    console.print(&value, |_| {
        let rows = queries.iter().map(|(name, _, seconds)| vec![(*name).to_owned(), format!("{:.1}", 1e3 * seconds)]);
        table(&["query", "ms"], &[1], rows).to_string()
    })
}
