//! `label`: one judgement from the command line.

use marginalia_datasets::Classes;
use marginalia_labeling_ui::{Answer, Judge, Judgement, Lane, Origin};
use serde_json::json;

use crate::console::Console;
use crate::error::Result;

/// Arguments of `label`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The face, or the beginning of its id
    pub face_id: String,
    /// A class (synonyms are understood), or not_a_face, unsure, skip
    pub expression: String,
    /// Who says so
    #[arg(long, env = "USER", default_value = "cli", hide_env_values = true)]
    pub annotator: String,
}

/// Runs `label`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let snapshot = opened.corpus.snapshot().await?;
    let face_id = snapshot.face_id(&args.face_id).await?;
    let answer = match Answer::parse(&args.expression) {
        Answer::Expression(text) => {
            let classes = Classes::new(opened.corpus.classes().to_vec())?;
            Answer::Expression(classes.resolve(&text)?.to_owned())
        }
        verdict => verdict,
    };
    let mut judgement = Judgement::new(face_id, answer, args.annotator, Origin::Human, Lane::Cli);
    judgement.round = snapshot.current_round();
    let rows = Judge::new(&opened.corpus).submit(vec![judgement]).await?;
    for label in &rows {
        let says = label.expression.as_ref().or(label.verdict.as_ref());
        let value = json!({ "label_id": label.label_id, "face_id": label.face_id, "expression": says });
        console.print(&value, |_| {
            format!(
                "{} is {} says {}; label {}",
                label.face_id,
                says.map_or("", String::as_str),
                label.annotator,
                label.label_id
            )
        })?;
    }
    Ok(())
}
