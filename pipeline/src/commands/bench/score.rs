//! `bench score`: faces through a checkpoint's teacher, weak views and all.

use std::path::PathBuf;
use std::time::Instant;

use marginalia_datasets::Classes;
use marginalia_trainer::Scorer;
use serde_json::json;

use super::step::Faces;
use crate::commands::evaluate::{checkpoint_folder, current_checkpoint};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::memory::Computing;

/// Arguments of `bench score`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Checkpoint folder [default: the corpus's current round]
    #[arg(long, value_name = "F")]
    pub checkpoint: Option<PathBuf>,
    /// Synthetic faces to score
    #[arg(long, default_value_t = 2048)]
    pub faces: u64,
    /// Their side, pixels
    #[arg(long, default_value_t = 48)]
    pub side: u32,
}

/// Runs `bench score`.
pub async fn run(args: &Args, console: &Console) -> Result<()> {
    let folder = match &args.checkpoint {
        Some(path) => checkpoint_folder(path),
        None => current_checkpoint(console).await?,
    };
    let (faces, side) = (args.faces, args.side);
    let seconds = tokio::task::spawn_blocking(move || {
        let scorer = Scorer::load(&folder)?;
        let faces: Vec<(String, Vec<u8>)> = Faces::new(faces, side, &Classes::standard())
            .0
            .into_iter()
            .enumerate()
            .map(|(i, image)| (format!("{i:064x}"), image))
            .collect();
        let _computing = Computing::begin();
        let started = Instant::now();
        for batch in faces.chunks(256) {
            scorer.score(batch)?;
        }
        Ok::<_, Error>(started.elapsed().as_secs_f64())
    })
    .await
    .map_err(Error::task)??;
    let rate = args.faces as f64 / seconds;
    let value = json!({ "images": args.faces, "seconds": seconds, "images_per_second": rate });
    console.print(&value, |_| format!("{} faces scored in {seconds:.2} s: {rate:.0} images/s", args.faces))
}
