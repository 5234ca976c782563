//! Rounds that people ask for, or stop, beside those that are due.
//!
//! In: requests, from whoever serves people. Out: word to the loop that runs rounds, and to those that hold back while one
//! runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use marginalia_labeling_ui::Rounds;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// The requests of one process; cheap to clone.
#[derive(Clone, Default)]
pub struct RoundRequests {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    asked: Notify,
    running: Mutex<Option<Running>>,
    training: watch::Sender<bool>,
}

struct Running {
    token: CancellationToken,
    given_up: bool,
}

impl RoundRequests {
    /// Returns once somebody asked for a round, also where that was before.
    pub async fn asked(&self) {
        self.inner.asked.notified().await;
    }

    /// Says that a round runs, which this token stops.
    pub fn begin(&self, token: CancellationToken) {
        *self.running() = Some(Running { token, given_up: false });
        self.inner.training.send_replace(true);
    }

    /// Says that it has ended; true where somebody gave it up.
    pub fn end(&self) -> bool {
        self.inner.training.send_replace(false);
        self.running().take().is_some_and(|running| running.given_up)
    }

    /// Whether a round runs.
    pub fn training(&self) -> watch::Receiver<bool> {
        self.inner.training.subscribe()
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.inner.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rounds for RoundRequests {
    fn is_running(&self) -> bool {
        self.running().is_some()
    }

    fn start(&self) -> bool {
        let idle = self.running().is_none();
        if idle {
            self.inner.asked.notify_one();
        }
        idle
    }

    fn stop(&self) -> bool {
        self.running().as_mut().is_some_and(|running| {
            running.given_up = true;
            running.token.cancel();
            true
        })
    }
}
