//! `curriculum`: checks the SQL that chooses faces, or shows what it chooses.

use std::collections::BTreeMap;

use marginalia_store::Moment;
use serde_json::json;

use crate::console::{Console, Opened};
use crate::curriculum::{Curriculum, Parameters};
use crate::error::Result;
use crate::moment::MomentArgs;
use crate::tables::{short, table};

/// Arguments of `curriculum`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the curriculum.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Plan every text, compare its columns, and say what a round would get
    Check,
    /// Print every text and the first rows it gives
    Show(MomentArgs),
}

/// Runs `curriculum`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let curriculum = Curriculum::load(opened.corpus.path(), &opened.config.curriculum)?;
    match args.action {
        Action::Check => check(&opened, &curriculum, console).await,
        Action::Show(at) => show(&opened, at.moment(), &curriculum, console).await,
    }
}

fn parameters(opened: &Opened) -> Parameters {
    Parameters::new(&opened.config.round, opened.config.train.seed)
}

async fn check(opened: &Opened, curriculum: &Curriculum, console: &Console) -> Result<()> {
    let session = opened.session().await?;
    curriculum.check(&session).await?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in curriculum.labelled(&session, parameters(opened)).await? {
        *counts.entry(row.expression).or_default() += 1;
    }
    let unlabelled = curriculum.unlabelled(&session, parameters(opened)).await?.len();
    let value = json!({ "labelled": counts, "unlabelled": unlabelled });
    console.print(&value, |_| {
        let classes = opened.corpus.classes().iter();
        let rows = classes.map(|class| vec![class.clone(), counts.get(class).copied().unwrap_or(0).to_string()]);
        format!(
            "{}\nand {unlabelled} unlabelled faces; all three texts are well",
            table(&["class", "labelled"], &[1], rows)
        )
    })
}

async fn show(opened: &Opened, at: Moment, curriculum: &Curriculum, console: &Console) -> Result<()> {
    let session = opened.session_at(at).await?;
    let labelled = curriculum.labelled(&session, parameters(opened)).await?;
    let unlabelled = curriculum.unlabelled(&session, parameters(opened)).await?;
    let queue = curriculum.queue(&session, parameters(opened)).await?;
    let first = |rows: Vec<String>| rows.into_iter().take(5).collect::<Vec<_>>();
    let samples = [
        first(
            labelled.iter().map(|row| format!("{} {} {}", short(&row.face_id), row.expression, row.weight)).collect(),
        ),
        first(unlabelled.iter().map(|row| format!("{} {}", short(&row.face_id), row.weight)).collect()),
        first(queue.iter().map(|row| format!("{} {}", short(&row.face_id), row.reason)).collect()),
    ];
    let value: Vec<_> = curriculum
        .texts()
        .into_iter()
        .zip(&samples)
        .map(|((name, sql), rows)| json!({ "name": name, "sql": sql, "first": rows }))
        .collect();
    console.print(&value, |_| {
        let texts = curriculum.texts().into_iter().zip(&samples);
        texts.map(|((name, sql), rows)| format!("── {name}\n{sql}\n{}\n", rows.join("\n"))).collect()
    })
}
