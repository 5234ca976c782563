//! Several images on their way in, so that a body of any length passes through little memory.
//!
//! In: a body. Out: its pieces as long as they come fast enough, and the files that a form or an archive makes of them,
//! in their order, in batches of at most [`BATCH`] files and [`BATCH_BYTES`] bytes.

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, timeout};

/// Files in a batch.
const BATCH: usize = 256;
/// Bytes of a batch; one file may be larger.
const BATCH_BYTES: usize = 16 << 20;
/// Bytes that come in the time for which they are waited: who sends less, however steadily, keeps a place from others.
const LEAST: usize = 256 << 10;

/// One file of several.
pub(super) struct File {
    /// What its sender calls it.
    pub name: String,
    /// What it holds; none where that is more than is taken.
    pub image: Option<Vec<u8>>,
}

/// Where batches come out. The last item is an error where the body broke off; what came before it is whole.
pub(super) type Batches = Receiver<io::Result<Vec<File>>>;

/// Where they go in.
pub(super) type ToBatches = Sender<io::Result<Vec<File>>>;

/// Files that go together.
#[derive(Default)]
pub(super) struct Batch {
    files: Vec<File>,
    bytes: usize,
}

impl Batch {
    /// Takes one more; all of them where that is enough.
    pub fn add(&mut self, file: File) -> Option<Vec<File>> {
        self.bytes += file.image.as_ref().map_or(0, Vec::len);
        self.files.push(file);
        (self.files.len() == BATCH || self.bytes >= BATCH_BYTES).then(|| self.rest())
    }

    /// Those that are there.
    pub fn rest(&mut self) -> Vec<File> {
        std::mem::take(self).files
    }
}

/// The pieces of a body. What is waited for in vain for `patience`, or is too little for it, ends them with an error;
/// time that nobody takes a piece does not count.
pub(super) fn pieces(body: Body, patience: Duration) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let arriving = Arriving { body: body.into_data_stream(), patience, left: patience, came: 0 };
    stream::unfold(Some(arriving), |arriving| async move {
        let mut arriving = arriving?;
        let piece = arriving.next().await?;
        let rest = piece.is_ok().then_some(arriving);
        Some((piece, rest))
    })
}

struct Arriving {
    body: BodyDataStream,
    patience: Duration,
    /// How long the next [`LEAST`] bytes may still be waited for.
    left: Duration,
    /// How many of them came.
    came: usize,
}

impl Arriving {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let asked = Instant::now();
        let piece = match timeout(self.left, self.body.next()).await {
            Ok(piece) => piece?.map_err(io::Error::other),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "too little came for too long")),
        };
        self.left = self.left.saturating_sub(asked.elapsed());
        self.came += piece.as_ref().map_or(0, Bytes::len);
        if self.came >= LEAST {
            (self.left, self.came) = (self.patience, 0);
        }
        Some(piece)
    }
}
