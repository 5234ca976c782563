//! `status`: what the corpus holds, how far the loop is, what to look at.

use marginalia_labeling_ui::Status;

use crate::console::Console;
use crate::error::Result;
use crate::round::warning;
use crate::tables::{percent, table};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `status`.
pub async fn run(_args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let session = opened.session().await?;
    let mut status = Status::read(&opened.corpus, &session).await?;
    status.warnings.splice(0..0, session.snapshot().rounds().last().and_then(warning));
    console.print(&status, people)
}

fn people(status: &Status) -> String {
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
    lines.extend(status.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}
