//! `forget`: faces leave the corpus for good, and do not come back.

use std::io::IsTerminal;

use marginalia_store::ForgetCost;

use crate::console::Console;
use crate::error::{Error, Result};

/// Arguments of `forget`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The faces, or the beginnings of their ids
    #[arg(required = true)]
    pub face_id: Vec<String>,
    /// Why, for the table of erasures; name nobody in it
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only say what it would cost
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask on a terminal
    #[arg(long)]
    pub yes: bool,
}

/// Runs `forget`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let mut faces = Vec::new();
    for prefix in &args.face_id {
        faces.push(opened.corpus.forgettable(prefix).await?);
    }
    faces.sort();
    faces.dedup();
    let cost = opened.corpus.cost_of_forgetting(&faces).await?;
    if args.dry_run {
        return console.print(&cost, |cost| format!("{}\nnothing was changed", told(cost, "would go")));
    }
    eprintln!("{}", told(&cost, "go"));
    if !args.yes && std::io::stdin().is_terminal() && !confirmed()? {
        return Err(Error::Interrupted { what: "forgetting" });
    }
    let cost = opened.corpus.forget(&faces, args.reason).await?;
    opened.note("faces_forgotten", None, Some(faces_of(&cost))).await?;
    console.print(&cost, |cost| {
        format!(
            "{} forgotten: no row, version, index or file of the corpus holds them, and the same bytes are refused from now on",
            faces_of(cost)
        )
    })
}

fn confirmed() -> Result<bool> {
    eprint!("This cannot be undone. Type yes to go on: ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Error::io("stdin"))?;
    Ok(answer.trim() == "yes")
}

fn faces_of(cost: &ForgetCost) -> String {
    if cost.faces == 1 { "1 face".to_owned() } else { format!("{} faces", cost.faces) }
}

/// What it costs and what it leaves, in words.
fn told(cost: &ForgetCost, go: &str) -> String {
    let rows: Vec<String> =
        cost.rows.iter().filter(|(_, rows)| *rows > 0).map(|(table, rows)| format!("{rows} of {table}")).collect();
    let mut lines = vec![format!("{}: rows that {go}: {}", faces_of(cost), rows.join(", "))];
    let list = |rounds: &[u32]| rounds.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    if !cost.rounds_lost.is_empty() {
        lines.push(format!(
            "rounds that saw them and cannot be looked back at (--at-round) afterwards: {}",
            list(&cost.rounds_lost)
        ));
    }
    if let Some(round) = cost.unfinished_round {
        lines.push(format!("round {round}, which was not finished, is given up"));
    }
    if !cost.rounds_trained.is_empty() {
        lines.push(format!(
            "weights of rounds that may have trained on them stay as they are: {}",
            list(&cost.rounds_trained)
        ));
    }
    if !cost.sources.is_empty() {
        lines.push(format!("files outside the corpus that hold them are not touched: {}", cost.sources.join(", ")));
    }
    lines.join("\n")
}
