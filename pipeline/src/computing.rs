//! The thread that a network computes on.
//!
//! In: work that takes long (a training, a measurement, loading a teacher, drawing a map). Out: what it returns. The
//! threads that serve people go on meanwhile: the work gives way to them, as do the threads that it starts, and free
//! memory is kept for it.

use crate::error::{Error, Result};
use crate::memory::Computing;
use crate::priority::give_way;

/// Stack of the thread: backward and the drop of a graph recurse.
const STACK_BYTES: usize = 256 << 20;

/// Runs `work` on a computing thread of its own, and waits for it.
pub fn on_computing_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T>> {
    let (done, outcome) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new().name("computing".to_owned()).stack_size(STACK_BYTES).spawn(move || {
        give_way();
        let computing = Computing::network();
        let outcome = work();
        drop(computing);
        // Whoever asked waits to the end, or has gone and needs no answer.
        let _ = done.send(outcome);
    });
    async move {
        let thread = started.map_err(Error::io("the computing thread"))?;
        let outcome = outcome.await;
        // Waited for, and never let go of while it ends: glibc would then look at a stack that is gone (BZ 19951).
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        outcome.map_err(|_| Error::ComputingPanicked)
    }
}
