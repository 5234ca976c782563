//! A tar as the body of a request: its files as they arrive, some at a time, so that an archive of any length passes through
//! little memory.
//!
//! In: the body. Out: batches of files, in the archive's order, each of at most [`BATCH`] files and [`BATCH_BYTES`] bytes.
//! Reading goes on only while somebody takes the batches.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Files in a batch.
const BATCH: usize = 256;
/// Bytes of a batch; one file may be larger.
const BATCH_BYTES: usize = 16 << 20;
/// Pieces of the body that wait to be read.
const AHEAD: usize = 16;

/// One file of the archive.
pub(super) struct File {
    /// Its path in the archive.
    pub name: String,
    /// What it holds; none where that is more than is taken.
    pub image: Option<Vec<u8>>,
}

/// Reads an archive on a thread of its own. The last item is an error where the archive broke off; what came before it is
/// whole.
pub(super) fn files(body: Body, most_bytes: usize, patience: Duration) -> Receiver<io::Result<Vec<File>>> {
    let (pieces, waiting) = channel(AHEAD);
    let (batches, taken) = channel(1);
    tokio::spawn(feed(body, pieces, patience));
    tokio::task::spawn_blocking(move || {
        let pieces = Pieces { waiting, piece: Bytes::new() };
        if let Err(error) = read(pieces, most_bytes, &batches) {
            // Whoever does not take it any more does not want it.
            let _ = batches.blocking_send(Err(error));
        }
    });
    taken
}

/// Passes the body on; a client that sends nothing for too long is not waited for.
async fn feed(body: Body, pieces: Sender<io::Result<Bytes>>, patience: Duration) {
    let mut stream = body.into_data_stream();
    loop {
        let piece = match tokio::time::timeout(patience, stream.next()).await {
            Ok(None) => return,
            Ok(Some(piece)) => piece.map_err(io::Error::other),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came for too long")),
        };
        let is_last = piece.is_err();
        if pieces.send(piece).await.is_err() || is_last {
            return;
        }
    }
}

fn read(pieces: Pieces, most_bytes: usize, batches: &Sender<io::Result<Vec<File>>>) -> io::Result<()> {
    let mut archive = tar::Archive::new(pieces);
    let (mut batch, mut bytes) = (Vec::new(), 0);
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
        bytes += file.image.as_ref().map_or(0, Vec::len);
        batch.push(file);
        if batch.len() == BATCH || bytes >= BATCH_BYTES {
            bytes = 0;
            if batches.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                return Ok(());
            }
        }
    }
    if !batch.is_empty() && batches.blocking_send(Ok(batch)).is_err() {
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
