//! `bench score`: faces through a checkpoint's teacher, weak views and all.

use std::path::{Path, PathBuf};
use std::time::Instant;

use marginalia_datasets::Classes;
use marginalia_trainer::Scorer;
use marginalia_trainer::device::Backend;
use serde::Deserialize;
use serde_json::json;

use super::step::Faces;
use crate::cluster::ClusterArgs;
use crate::commands::evaluate::Asked;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::memory::Computing;

/// Arguments of `bench score`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Checkpoint folder [default: the corpus's current round]
    #[arg(long, value_name = "F")]
    pub checkpoint: Option<PathBuf>,
    /// Faces to score
    #[arg(long, default_value_t = 2048)]
    pub faces: usize,
    /// Folder of images, the first in the order of their paths are taken [default: synthetic faces]
    #[arg(long, value_name = "FOLDER")]
    pub images: Option<PathBuf>,
    /// Side of synthetic faces, pixels
    #[arg(long, default_value_t = 48)]
    pub side: u32,
    /// Threads that compute; 0 = all cores
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// What computes: cpu, or cuda:N and metal:N in a build with that feature
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Other machines: all faces of the corpus are scored there.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Runs `bench score`.
pub async fn run(args: &Args, console: &Console) -> Result<()> {
    if args.cluster.cluster.is_some() {
        return on_cluster(args, console).await;
    }
    let folder = Asked::find(args.checkpoint.as_deref(), console).await?.folder;
    let images = match &args.images {
        Some(images) => read(images, args.faces)?,
        None => Faces::new(args.faces as u64, args.side, &Classes::standard()).0,
    };
    let count = images.len();
    let (device, threads) = (args.device.clone(), args.threads);
    let seconds = tokio::task::spawn_blocking(move || {
        let scorer = Scorer::load_on(Backend::open(&device)?, &folder, threads)?;
        let faces: Vec<(String, Vec<u8>)> =
            images.into_iter().enumerate().map(|(i, image)| (format!("{i:064x}"), image)).collect();
        let _computing = Computing::network();
        let started = Instant::now();
        for batch in faces.chunks(256) {
            scorer.score(batch)?;
        }
        Ok::<_, Error>(started.elapsed().as_secs_f64())
    })
    .await
    .map_err(Error::task)??;
    print(console, count as u64, seconds)
}

/// Every face of the corpus through the current teacher, on the cluster; once before, so that tables and teacher are
/// open.
async fn on_cluster(args: &Args, console: &Console) -> Result<()> {
    let opened = console.on(&args.cluster).open().await?;
    let session = opened.session().await?;
    let round = session.snapshot().current().ok_or(Error::NoTeacher)?;
    let place = format!("{}/{}", opened.corpus.home().place(), round.checkpoint);
    let sql = format!(
        "select count(score['confidence']) as scored \
         from (select predict(image, '{}', '{}') as score from faces)",
        place.replace('\'', "''"),
        round.checkpoint_hash
    );
    let mut measured = (0, 0.0);
    for _ in 0..2 {
        let begun = Instant::now();
        let rows: Vec<Scored> = session.query_elsewhere(&sql).await?.rows().await?;
        measured = (rows.iter().map(|row| row.scored).sum(), begun.elapsed().as_secs_f64());
    }
    print(console, measured.0, measured.1)
}

#[derive(Deserialize)]
struct Scored {
    scored: u64,
}

fn print(console: &Console, count: u64, seconds: f64) -> Result<()> {
    let rate = count as f64 / seconds;
    let value = json!({ "images": count, "seconds": seconds, "images_per_second": rate });
    console.print(&value, |_| format!("{count} faces scored in {seconds:.2} s: {rate:.0} images/s"))
}

/// The first images of a folder, in the order of their paths, as bytes.
fn read(folder: &Path, most: usize) -> Result<Vec<Vec<u8>>> {
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(|entry| match entry {
        Ok(entry) if entry.file_type().is_dir() => None,
        Ok(entry) => Some(std::fs::read(entry.path()).map_err(Error::io(entry.path()))),
        Err(error) => Some(Err(Error::io(folder)(error.into()))),
    });
    let images = files.take(most).collect::<Result<Vec<_>>>()?;
    if images.is_empty() { Err(Error::MissingInput { path: folder.to_owned() }) } else { Ok(images) }
}
