//! What the allocator does with memory that is free.
//!
//! Networks and queries allocate and free the same megabytes at every step and want them kept; a stream of faces passes once,
//! and what it left lying around for a second was half of what ingest took. So free memory goes back to the system almost at
//! once, except while a network computes or a query runs: a network has it back with its next step, a query within a few
//! batches. Longer is worse there, since what many queries leave on many threads adds up.

use std::sync::atomic::{AtomicUsize, Ordering};

/// `mi_option_purge_delay` of mimalloc's C interface: milliseconds that free memory is kept before the system gets it back.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

const SOON: i64 = 2;
const BETWEEN_BATCHES: i64 = 30;
const BETWEEN_STEPS: i64 = 1000;

/// Networks that compute.
static NETWORKS: AtomicUsize = AtomicUsize::new(0);
/// Queries that run.
static QUERIES: AtomicUsize = AtomicUsize::new(0);

/// From now on free memory goes back soon. To be called first of all: what was freed before is kept for a while.
pub fn give_back_soon() {
    set(SOON);
}

/// Keeps free memory at hand while it lives.
#[derive(Debug)]
pub struct Computing(&'static AtomicUsize);

impl Computing {
    /// A network begins.
    pub fn network() -> Self {
        Self::begin(&NETWORKS)
    }

    /// A query begins.
    pub fn query() -> Self {
        Self::begin(&QUERIES)
    }

    fn begin(count: &'static AtomicUsize) -> Self {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            settle();
        }
        Self(count)
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 1 {
            settle();
        }
    }
}

fn settle() {
    let runs = |count: &AtomicUsize| count.load(Ordering::Relaxed) > 0;
    set(if runs(&NETWORKS) {
        BETWEEN_STEPS
    } else if runs(&QUERIES) {
        BETWEEN_BATCHES
    } else {
        SOON
    });
}

fn set(milliseconds: i64) {
    // SAFETY: sets a number that the allocator reads; any value is valid.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, milliseconds) };
}
