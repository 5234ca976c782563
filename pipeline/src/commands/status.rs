//! `status`: what the corpus holds, how far the loop is, who writes to it, what to look at.

use marginalia_labeling_ui::Status;
use marginalia_store::WritingProcess;
use serde::Serialize;

use crate::console::Console;
use crate::error::Result;
use crate::round::warning;
use crate::tables::{percent, table};

/// Seconds after which a writer that says nothing is taken for dead, a slow store and two clocks considered.
const SILENT: u64 = 60;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// The corpus at a glance, and the processes that write to it: machines are named to those who have the corpus, and not
/// over HTTP.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    status: Status,
    writers: Vec<WritingProcess>,
}

/// Runs `status`.
pub async fn run(_args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let session = opened.session().await?;
    let mut status = Status::read(&opened.corpus, &session).await?;
    status.warnings.splice(0..0, session.snapshot().rounds().last().and_then(warning));
    let writers = opened.corpus.writing_processes().await?;
    console.print(&Shown { status, writers }, people)
}

fn people(Shown { status, writers }: &Shown) -> String {
    let rows = status.classes.iter().map(|row| {
        let numbers = [row.human, row.imported, row.simulated, row.pseudo, row.total];
        std::iter::once(row.expression.clone()).chain(numbers.iter().map(u64::to_string)).collect()
    });
    let classes = table(&["class", "human", "imported", "simulated", "pseudo", "total"], &[1, 2, 3, 4, 5], rows);
    let round = match (status.current_round, status.unfinished_round) {
        (None, None) => "no round yet".to_owned(),
        (current, unfinished) => {
            let current = current.map_or("no accepted round yet".to_owned(), |round| format!("current round {round}"));
            let unfinished = unfinished
                .map_or(String::new(), |round| format!(", round {round} was not finished and will be resumed"));
            format!("{current}{unfinished}")
        }
    };
    let mut lines = vec![
        format!("corpus {}", status.corpus),
        format!(
            "{} faces from {} sightings, {} rejects; {} current labels; {} unlabelled, {} in the queue",
            status.faces, status.sightings, status.rejects, status.labels, status.unlabelled, status.queue
        ),
        format!("{} rounds, {round}", status.rounds),
    ];
    if let Some(share) = status.pool_share {
        lines.push(format!("the last round trained on {} of the pool", percent(Some(share))));
    }
    lines.push(classes.to_string());
    if !writers.is_empty() {
        lines.push(writing(writers));
    }
    lines.extend(status.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}

fn writing(writers: &[WritingProcess]) -> String {
    let rows = writers.iter().map(|writer| {
        let state = match writer.silent_seconds {
            silent if silent > SILENT => format!("silent for {silent} s"),
            _ => writer.work.clone(),
        };
        vec![
            writer.host.clone(),
            writer.process.to_string(),
            state,
            writer.last_commit_at.map_or_else(|| "–".to_owned(), |at| at.to_string()),
            writer.faces.to_string(),
            format!("{:.0}", writer.faces_per_minute),
            writer.conflicts.to_string(),
        ]
    });
    let headers = ["writer on", "process", "does", "last commit (UTC)", "faces", "a minute", "conflicts"];
    table(&headers, &[1, 4, 5, 6], rows).to_string()
}
