//! `bench sql`: how long the views and look-ups take on the corpus as it is, warm: one session, planning included, the
//! median of several runs. Where tables are to be read in several ways, these take turns, so that whatever else the
//! machine does meets all of them. `bench/peers/duckdb_sql.py` asks the same of DuckDB, `bench/scan.py` compares the ways.
//!
//! Where there is a cluster, every query runs there that it takes, however little it reads: a machine would have to be
//! measured on a corpus of `cluster.from_rows` rows otherwise. What ran where is said.

use clap::ValueEnum;
use marginalia_store::{Error as StoreError, Session};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{median, peak_memory, timed};
use crate::cluster::ClusterArgs;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::tables::table;

/// Arguments of `bench sql`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs of each query, after one to warm up; the median counts
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// How this machine reads tables; several take turns
    #[arg(long, value_enum, value_delimiter = ',', default_value = "shared")]
    pub scan: Vec<Scan>,
    /// Other machines: what they take runs there.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// How tables are read.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Scan {
    /// By Lance's own provider, in one partition
    Provider,
    /// In several partitions that share the batches, as every session does
    Shared,
    /// In fixed groups of fragments, as tasks of a cluster do
    Groups,
}

impl Scan {
    fn of_session(self) -> marginalia_store::Scan {
        match self {
            Self::Provider => marginalia_store::Scan::Provider,
            Self::Shared => marginalia_store::Scan::Shared,
            // As many as a plan has partitions.
            Self::Groups => marginalia_store::Scan::Groups(1),
        }
    }
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

/// What an index answers.
const LOOKUPS: [(&str, &str); 2] = [
    ("a face", "select face_id, format, width, height, stream, ingested_at from faces where face_id = 'FACE'"),
    ("predictions of a face", "select round, expression, confidence from predictions where face_id = 'FACE'"),
];

#[derive(Deserialize)]
struct FaceId {
    face_id: String,
}

/// Where a query runs.
#[derive(Clone, Copy)]
enum On {
    Cluster,
    Here,
}

impl On {
    fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Here => "here",
        }
    }
}

/// A query, where it ran, and its seconds, of each way to read tables.
struct Measured {
    query: &'static str,
    sql: String,
    on: On,
    seconds: Vec<f64>,
}

/// Runs `bench sql`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.on(&args.cluster).open().await?;
    let runs = args.runs.max(1);
    let mut opening = 0.0;
    let session = timed(&mut opening, opened.session()).await?;
    let mut reopening = Vec::new();
    for _ in 0..runs {
        let mut seconds = 0.0;
        timed(&mut seconds, opened.session()).await?;
        reopening.push(seconds);
    }
    let middle =
        "select max(face_id) as face_id from (select face_id from current_predictions order by face_id limit 1000)";
    let faces: Vec<FaceId> = session.query_trusted(middle, Vec::new()).await?.rows().await?;
    let face = faces.into_iter().next().map_or_else(String::new, |row| row.face_id);
    let sessions: Vec<Session> = args.scan.iter().map(|scan| session.reading(scan.of_session())).collect();
    let queries = measure(&sessions, &QUERIES, &face, runs).await?;
    let lookups = measure(&sessions, &LOOKUPS, &face, runs).await?;
    let scans: Vec<String> = args.scan.iter().filter_map(name).collect();
    let documents = |measured: &[Measured]| measured.iter().map(|one| document(one, &scans)).collect::<Vec<_>>();
    let value = json!({
        "opening_seconds": opening,
        "reopening_seconds": median(reopening),
        "queries": documents(&queries),
        "lookups": documents(&lookups),
        "peak_memory": peak_memory(),
    });
    let has_cluster = session.has_cluster();
    console.print(&value, |_| {
        let names: &[&str] = if has_cluster { &["query", "on"] } else { &["query"] };
        let times: Vec<String> = scans.iter().map(|scan| format!("{scan}, ms")).collect();
        let headers: Vec<&str> = names.iter().copied().chain(times.iter().map(String::as_str)).collect();
        let rows = queries.iter().chain(&lookups).map(|one| {
            let named = [one.query, one.on.name()].into_iter().take(names.len()).map(str::to_owned);
            named.chain(one.seconds.iter().map(|seconds| format!("{:.1}", 1e3 * seconds))).collect()
        });
        table(&headers, &(names.len()..headers.len()).collect::<Vec<_>>(), rows).to_string()
    })
}

/// Medians of queries about a face; sessions take turns.
async fn measure(
    sessions: &[Session],
    queries: &[(&'static str, &'static str)],
    face: &str,
    runs: usize,
) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    for &(query, sql) in queries {
        let sql = sql.replace("FACE", face);
        let on = match sessions.first() {
            Some(session) => place(session, &sql).await?,
            None => On::Here,
        };
        let mut taken = vec![Vec::new(); sessions.len()];
        for run in 0..=runs {
            for (session, taken) in sessions.iter().zip(&mut taken) {
                let mut seconds = 0.0;
                timed(&mut seconds, answer(session, &sql, on)).await?;
                if run > 0 {
                    taken.push(seconds);
                }
            }
        }
        measured.push(Measured { query, sql, on, seconds: taken.into_iter().map(median).collect() });
    }
    Ok(measured)
}

/// Where a query will run: the cluster is asked.
async fn place(session: &Session, sql: &str) -> Result<On> {
    if !session.has_cluster() {
        return Ok(On::Here);
    }
    match answer(session, sql, On::Cluster).await {
        Ok(()) => Ok(On::Cluster),
        Err(Error::Store(StoreError::QueryRefused { .. })) => Ok(On::Here),
        Err(error) => Err(error),
    }
}

async fn answer(session: &Session, sql: &str, on: On) -> Result<()> {
    let answer = match on {
        On::Cluster => session.query_elsewhere(sql).await?,
        On::Here => session.query_trusted(sql, Vec::new()).await?,
    };
    answer.collect().await?;
    Ok(())
}

/// As on the command line.
fn name(scan: &Scan) -> Option<String> {
    Some(scan.to_possible_value()?.get_name().to_owned())
}

/// `seconds` are those of the first way.
fn document(one: &Measured, scans: &[String]) -> Value {
    let by_scan: Map<String, Value> =
        scans.iter().cloned().zip(one.seconds.iter().map(|seconds| json!(seconds))).collect();
    let on = one.on.name();
    json!({ "query": one.query, "sql": one.sql, "on": on, "seconds": one.seconds.first(), "by_scan": by_scan })
}
