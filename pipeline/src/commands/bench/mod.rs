//! `bench`: our side of the comparisons; `bench/` at the top of the repository has the peers' side.

mod corpus;
mod faces;
mod ingest;
mod label;
mod precision;
mod score;
mod sql;
mod step;

use std::time::Instant;

use crate::console::Console;
use crate::error::Result;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure
    #[command(subcommand)]
    pub what: What,
}

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Fill an empty corpus with drawn rounds and judgements, for the others to measure
    Corpus(corpus::Args),
    /// Write synthetic faces as files, for the others to measure
    Faces(faces::Args),
    /// Images a second into a fresh corpus
    Ingest(ingest::Args),
    /// Seconds of a training step
    Step(step::Args),
    /// Images a second through the teacher
    Score(score::Args),
    /// Seconds of the views and of look-ups on the corpus, with tables read in one way or several
    Sql(sql::Args),
    /// Milliseconds from a judgement to its acknowledgement
    Label(label::Args),
    /// How right subset I is, where an import kept the truth
    Precision(precision::Args),
}

/// Runs `bench`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    match args.what {
        What::Corpus(args) => corpus::run(args, console).await,
        What::Faces(args) => faces::run(args, console).await,
        What::Ingest(args) => ingest::run(args, console).await,
        What::Step(args) => step::run(&args, console).await,
        What::Score(args) => score::run(&args, console).await,
        What::Sql(args) => sql::run(args, console).await,
        What::Label(args) => label::run(&args, console).await,
        What::Precision(args) => precision::run(args, console).await,
    }
}

/// What comes of some work; its seconds are added to the others.
async fn timed<T>(seconds: &mut f64, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let outcome = work.await;
    *seconds += begun.elapsed().as_secs_f64();
    outcome
}

/// The middle value (the upper one of two).
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value below which this share of the values lies.
fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Largest resident memory of this process so far, bytes; none where the system does not say.
fn peak_memory() -> Option<u64> {
    memory("VmHWM:")
}

/// Resident memory of this process now, bytes; none where the system does not say.
fn resident_memory() -> Option<u64> {
    memory("VmRSS:")
}

fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
