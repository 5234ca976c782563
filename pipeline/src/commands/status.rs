//! `status`: what the corpus holds, how far the loop is, what to look at.

use marginalia_store::{Session, TableId};
use serde::{Deserialize, Serialize};

use crate::console::Console;
use crate::error::Result;
use crate::round::warning;
use crate::tables::{percent, table};

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {}

#[derive(Clone, Debug, Default, Serialize)]
struct Status {
    corpus: String,
    faces: u64,
    sightings: u64,
    rejects: u64,
    labels: u64,
    queue: u64,
    unlabelled: u64,
    rounds: usize,
    current_round: Option<u32>,
    unfinished_round: Option<u32>,
    pool_share: Option<f64>,
    classes: Vec<ClassRow>,
    warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ClassRow {
    expression: String,
    human: u64,
    imported: u64,
    simulated: u64,
    pseudo: u64,
    total: u64,
}

#[derive(Deserialize)]
struct Withheld {
    round: u32,
    expression: String,
    audited: u64,
    correct: u64,
}

#[derive(Deserialize)]
struct Number {
    n: u64,
}

/// Runs `status`.
pub async fn run(_args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let session = opened.session().await?;
    let snapshot = session.snapshot().clone();
    let mut status = Status {
        corpus: opened.corpus.home().place(),
        faces: snapshot.count(TableId::Faces, None).await?,
        sightings: snapshot.count(TableId::Sightings, None).await?,
        rejects: snapshot.count(TableId::Rejects, None).await?,
        labels: number(&session, "select count(*) as n from current_labels").await?,
        queue: number(&session, "select count(*) as n from queue").await?,
        unlabelled: number(&session, "select count(*) as n from unlabelled").await?,
        rounds: snapshot.rounds().len(),
        current_round: snapshot.current_round(),
        unfinished_round: opened.corpus.planned_round(snapshot.rounds()).await?,
        ..Status::default()
    };
    let sql = "select expression, human, imported, simulated, pseudo, total from class_balance";
    status.classes = session.query_trusted(sql, Vec::new()).await?.rows().await?;
    status.classes.sort_by_key(|row| opened.corpus.classes().iter().position(|class| *class == row.expression));
    if let Some(last) = snapshot.rounds().last() {
        status.pool_share = (last.pool > 0).then(|| last.unlabelled as f64 / last.pool as f64);
        status.warnings.extend(warning(last));
        if !last.accepted {
            status.warnings.push(format!("round {} was rejected by the gate: {}", last.round, last.gate));
        }
    }
    status.warnings.extend(withheld(&session).await?);
    for file in opened.corpus.set_aside()? {
        status.warnings.push(format!("{} was broken and set aside; see `marginalia verify`", file.display()));
    }
    if let Err(error) = opened.corpus.check_room(0) {
        status.warnings.push(error.to_string());
    }
    console.print(&status, people)
}

/// Classes that have no pseudo-labels because people found them wrong too often.
async fn withheld(session: &Session) -> Result<Vec<String>> {
    let sql = "select round, expression, audited, correct from pseudo_label_audit where withheld order by expression";
    let rows: Vec<Withheld> = session.query_trusted(sql, Vec::new()).await?.rows().await?;
    let target = session.snapshot().audit().target;
    let message = |row: Withheld| {
        format!(
            "class {} has no pseudo-labels: of those that people checked in round {}, {} of {} are right, which is less \
             than round.audit_target = {target}",
            row.expression, row.round, row.correct, row.audited
        )
    };
    Ok(rows.into_iter().map(message).collect())
}

async fn number(session: &Session, sql: &str) -> Result<u64> {
    let rows: Vec<Number> = session.query_trusted(sql, Vec::new()).await?.rows().await?;
    Ok(rows.first().map_or(0, |row| row.n))
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
