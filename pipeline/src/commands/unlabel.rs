//! `unlabel`: takes a label back; the history keeps both.

use marginalia_labeling_ui::Judge;
use serde_json::json;

use crate::console::Console;
use crate::error::Result;

/// Arguments of `unlabel`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The label
    pub label_id: String,
    /// Who takes it back
    #[arg(long, env = "USER", default_value = "cli", hide_env_values = true)]
    pub annotator: String,
}

/// Runs `unlabel`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let judge = Judge::new(&opened.corpus);
    let label = judge.label(&args.label_id).await?;
    let value = json!({ "retracts": label.label_id, "face_id": label.face_id });
    let done = format!("label {} of face {} is taken back", label.label_id, label.face_id);
    judge.retract(vec![label], &args.annotator).await?;
    console.print(&value, |_| done)
}
