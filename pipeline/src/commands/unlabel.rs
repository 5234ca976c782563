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
    let row = Judge::new(&opened.corpus).retract(&args.label_id, &args.annotator).await?;
    let value = json!({ "retracts": row.retracts, "face_id": row.face_id });
    console.print(&value, |_| format!("label {} of face {} is taken back", args.label_id, row.face_id))
}
