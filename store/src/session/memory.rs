//! The memory of all queries together.
//!
//! In: what the operators of a query ask for. Out: yes or no. Every query has a share that nobody takes from it; what lies
//! above the shares goes to whoever asks first, to be spilled or given back later. The engine's own fair pool divides by
//! operators instead: a plan over the views has forty of them that hold next to nothing, and with a few queries at a time each
//! had a hundredth, too little even to sort what it would spill.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool, human_readable_size,
};

/// Of the memory, one part in so many is shared out; the rest goes to whoever asks first.
const SHARED_OUT: usize = 4;
/// Consumers named when memory runs out.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::new(3).expect("3 is not 0");

/// What all queries with the same limits have.
#[derive(Debug)]
pub(super) struct Memory {
    bytes: usize,
    /// What a query can always have.
    share: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: usize,
    /// What queries have beyond their shares.
    beyond: usize,
}

impl Memory {
    /// `queries` run at a time.
    pub fn new(bytes: usize, queries: usize) -> Self {
        Self { bytes, share: bytes / SHARED_OUT / queries.max(1), taken: Mutex::default() }
    }

    /// For one query.
    pub fn pool(self: &Arc<Self>) -> Arc<dyn MemoryPool> {
        let pool = QueryPool { memory: self.clone(), used: AtomicUsize::new(0) };
        Arc::new(TrackConsumersPool::new(pool, CONSUMERS_NAMED))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beyond(&self, used: usize) -> usize {
        used.saturating_sub(self.share)
    }
}

/// What one query takes of it.
#[derive(Debug)]
struct QueryPool {
    memory: Arc<Memory>,
    /// Changed only while `memory.taken` is held.
    used: AtomicUsize,
}

impl QueryPool {
    /// Sets what it uses, whether there is room or not.
    fn set(&self, taken: &mut Taken, used: usize) {
        let before = self.used.swap(used, Ordering::Relaxed);
        taken.bytes = taken.bytes - before + used;
        taken.beyond = taken.beyond - self.memory.beyond(before) + self.memory.beyond(used);
    }

    /// What it could have more.
    fn room(&self, taken: &Taken) -> usize {
        let (memory, used) = (&self.memory, self.reserved());
        let of_its_share = memory.share.saturating_sub(used);
        let for_all = (memory.bytes - memory.bytes / SHARED_OUT).saturating_sub(taken.beyond);
        memory.bytes.saturating_sub(taken.bytes).min(of_its_share + for_all)
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), human_readable_size(self.memory.bytes))
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "queries"
    }

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        let mut taken = self.memory.taken();
        self.set(&mut taken, self.reserved() + additional);
    }

    fn shrink(&self, _: &MemoryReservation, shrink: usize) {
        let mut taken = self.memory.taken();
        self.set(&mut taken, self.reserved().saturating_sub(shrink));
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut taken = self.memory.taken();
        let room = self.room(&taken);
        if additional > room {
            return Err(resources_datafusion_err!(
                "{} more for {}, which has {}: {} are left for this query, of {} for all",
                human_readable_size(additional),
                reservation.consumer().name(),
                human_readable_size(reservation.size()),
                human_readable_size(room),
                human_readable_size(self.memory.bytes)
            ));
        }
        self.set(&mut taken, self.reserved() + additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.memory.bytes)
    }
}
