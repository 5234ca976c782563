//! A form (`multipart/form-data`) as the body of a request: its parts as they arrive.
//!
//! In: the request. Out: batches of its parts. Reading goes on only while somebody takes the batches. The reader of
//! forms would hold all that has come before it looks where a part ends, so it is given a piece only where it cannot go
//! on without.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::iter::successors;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc::channel;

use super::Limits;
use super::arriving::{Batch, Batches, File, ToBatches, pieces};
use super::problem::Problem;

/// Bytes in which a part has to begin, or to go on.
const HEAD: usize = 1 << 20;

/// Reads a form; parts without a name are numbered under `nameless`.
///
/// # Errors
/// A request that does not say where its parts end.
pub(super) async fn files(request: Request, nameless: &str, limits: &Limits) -> Result<Batches, Problem> {
    let inlet = Arc::new(Inlet::default());
    let (head, body) = request.into_parts();
    let body = Body::from_stream(inlet.clone().through(pieces(body, limits.answer)));
    let mut request = Request::from_parts(head, body);
    // The parts have a limit each.
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    let form = form.map_err(|rejection| Problem::new(rejection.status(), "bad_multipart", rejection.body_text()))?;
    let parts = Parts { form, inlet, nameless: nameless.to_owned(), read: 0, most_bytes: limits.image_bytes };
    let (batches, taken) = channel(1);
    tokio::spawn(async move {
        if let Err(error) = read(parts, &batches).await {
            // Whoever does not take it any more does not want it.
            let _ = batches.send(Err(error)).await;
        }
    });
    Ok(taken)
}

async fn read(mut parts: Parts, batches: &ToBatches) -> io::Result<()> {
    let mut batch = Batch::default();
    let end = loop {
        match parts.next().await {
            Ok(Some(file)) => {
                if let Some(files) = batch.add(file)
                    && batches.send(Ok(files)).await.is_err()
                {
                    return Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let rest = batch.rest();
    if !rest.is_empty() && batches.send(Ok(rest)).await.is_err() {
        return Ok(());
    }
    end
}

/// The parts of a form.
struct Parts {
    form: Multipart,
    inlet: Arc<Inlet>,
    nameless: String,
    /// How many were read.
    read: usize,
    most_bytes: usize,
}

impl Parts {
    /// The next part; none behind the last.
    async fn next(&mut self) -> io::Result<Option<File>> {
        let Some(mut part) = self.inlet.feed(self.form.next_field()).await.map_err(cause)? else { return Ok(None) };
        let name = part.file_name().map_or_else(|| format!("{}/{}", self.nameless, self.read), str::to_owned);
        self.read += 1;
        let mut image = Some(Vec::new());
        while let Some(chunk) = self.inlet.feed(part.chunk()).await.map_err(cause)? {
            image = image.filter(|image: &Vec<u8>| image.len() + chunk.len() <= self.most_bytes);
            if let Some(image) = &mut image {
                image.extend_from_slice(&chunk);
            }
        }
        Ok(Some(File { name, image }))
    }
}

/// What is behind an error of the reader's.
fn cause(error: MultipartError) -> io::Error {
    let first: &(dyn Error + 'static) = &error;
    let last = successors(Some(first), |&error| error.source()).last();
    io::Error::other(last.map(ToString::to_string).unwrap_or_default())
}

/// Lets the pieces of a body in one by one.
#[derive(Default)]
struct Inlet {
    is_open: AtomicBool,
    /// Bytes that came through during the work under way.
    came: AtomicUsize,
}

impl Inlet {
    /// The pieces; none comes before the inlet is open, which it is for one.
    fn through(
        self: Arc<Self>,
        pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let mut pieces = Box::pin(pieces);
        stream::poll_fn(move |context| {
            if !self.is_open.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            let piece = match self.came.load(Ordering::Relaxed) > HEAD {
                true => Some(Err(io::Error::other("a part does not begin"))),
                false => ready!(pieces.poll_next_unpin(context)),
            };
            self.is_open.store(false, Ordering::Relaxed);
            let length: usize = piece.iter().flatten().map(Bytes::len).sum();
            self.came.fetch_add(length, Ordering::Relaxed);
            Poll::Ready(piece)
        })
    }

    /// Does some work of the reader's with what it holds, and lets in more where that is not enough.
    async fn feed<W: Future>(&self, work: W) -> W::Output {
        let mut work = pin!(work);
        self.came.store(0, Ordering::Relaxed);
        poll_fn(|context| {
            loop {
                if let Poll::Ready(done) = work.as_mut().poll(context) {
                    return Poll::Ready(done);
                }
                // Open already: the next piece is not here yet, and its coming wakes us.
                if self.is_open.swap(true, Ordering::Relaxed) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}
