//! A tar as the body of a request: its files as they arrive.
//!
//! In: the body. Out: batches of its files. Reading goes on only while somebody takes the batches.

use std::io::{self, Read};
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::arriving::{Batch, Batches, File, ToBatches, pieces};

/// Pieces of the body that wait to be read.
const AHEAD: usize = 16;

/// Reads an archive on a thread of its own.
pub(super) fn files(body: Body, most_bytes: usize, patience: Duration) -> Batches {
    let (to_archive, waiting) = channel(AHEAD);
    let (batches, taken) = channel(1);
    tokio::spawn(feed(body, to_archive, patience));
    tokio::task::spawn_blocking(move || {
        let pieces = Pieces { waiting, piece: Bytes::new() };
        if let Err(error) = read(pieces, most_bytes, &batches) {
            // Whoever does not take it any more does not want it.
            let _ = batches.blocking_send(Err(error));
        }
    });
    taken
}

/// Passes the body on to where it may be waited for.
async fn feed(body: Body, to_archive: Sender<io::Result<Bytes>>, patience: Duration) {
    let mut pieces = pin!(pieces(body, patience));
    while let Some(piece) = pieces.next().await {
        if to_archive.send(piece).await.is_err() {
            return;
        }
    }
}

fn read(pieces: Pieces, most_bytes: usize, batches: &ToBatches) -> io::Result<()> {
    let mut archive = tar::Archive::new(pieces);
    let mut batch = Batch::default();
    let mut broke_off = None;
    for entry in archive.entries()? {
        let file = match entry.and_then(|entry| file(entry, most_bytes)) {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(error) => {
                broke_off = Some(error);
                break;
            }
        };
        if let Some(files) = batch.add(file)
            && batches.blocking_send(Ok(files)).is_err()
        {
            return Ok(());
        }
    }
    let rest = batch.rest();
    if !rest.is_empty() && batches.blocking_send(Ok(rest)).is_err() {
        return Ok(());
    }
    broke_off.map_or(Ok(()), Err)
}

/// A file; none for folders, links and the like.
fn file(mut entry: tar::Entry<'_, Pieces>, most_bytes: usize) -> io::Result<Option<File>> {
    if !entry.header().entry_type().is_file() {
        return Ok(None);
    }
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if entry.size() > most_bytes as u64 {
        return Ok(Some(File { name, image: None }));
    }
    let mut image = Vec::with_capacity(entry.size() as usize);
    entry.read_to_end(&mut image)?;
    // A body that ends early ends its last file early, which `tar` takes for its end.
    if (image.len() as u64) < entry.size() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(File { name, image: Some(image) }))
}

/// The body as something to read, on a thread that may wait.
struct Pieces {
    waiting: Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.waiting.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let count = to.len().min(self.piece.len());
        to[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}
