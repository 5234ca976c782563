//! `bench faces`: synthetic faces as files, for measurements at any size.

use std::path::PathBuf;

use marginalia_datasets::{Classes, SyntheticFaces};
use rayon::prelude::*;
use serde_json::json;

use crate::console::Console;
use crate::error::{Error, Result};

/// Files in one folder.
const FOLDER: u64 = 1000;

/// Arguments of `bench faces`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write into
    pub dir: PathBuf,
    /// How many
    #[arg(long, default_value_t = 10_000)]
    pub faces: u64,
    /// Their side, pixels
    #[arg(long, default_value_t = 48)]
    pub side: u32,
    /// Seed: equal seeds give equal faces
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Runs `bench faces`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let (dir, faces) = (args.dir.clone(), args.faces);
    tokio::task::spawn_blocking(move || write(&args)).await.map_err(Error::task)??;
    let value = json!({ "folder": dir, "faces": faces });
    console.print(&value, |_| format!("{faces} faces in {}", dir.display()))
}

fn write(args: &Args) -> Result<()> {
    let faces = SyntheticFaces::new(args.seed, args.side, &Classes::standard());
    (0..args.faces.div_ceil(FOLDER)).into_par_iter().try_for_each(|folder| {
        let path = args.dir.join(format!("{folder:05}"));
        std::fs::create_dir_all(&path).map_err(Error::io(&path))?;
        for i in folder * FOLDER..((folder + 1) * FOLDER).min(args.faces) {
            let file = path.join(format!("{i:08}.png"));
            std::fs::write(&file, faces.face(i).png()).map_err(Error::io(&file))?;
        }
        Ok(())
    })
}
