//! The memory of all queries together.
//!
//! In: what the operators of a query ask for. Out: yes or no. Every query has a share that nobody takes from it; what lies
//! above the shares goes to whoever asks first. Of what the operators that cannot use the disk leave, half is for those that
//! could, divided among those of them that hold much: the other half is for the former, as the merge of a sort. The
//! engine's own fair pool divides by all operators: a plan over the views has forty of them that hold next to nothing, and
//! with a few queries at a time each had a hundredth, too little even to sort what it would spill.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool, human_readable_size,
};

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
    /// `queries` run at a time: a quarter of it is for their shares.
    pub fn new(bytes: usize, queries: usize) -> Self {
        Self { bytes, share: bytes / 4 / queries.max(1), taken: Mutex::default() }
    }

    /// For one query.
    pub fn pool(self: &Arc<Self>) -> Arc<dyn MemoryPool> {
        let pool = QueryPool { memory: self.clone(), used: AtomicUsize::new(0), spillable: Mutex::default() };
        Arc::new(TrackConsumersPool::new(pool, CONSUMERS_NAMED))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes to whoever asks first.
    fn for_all(&self) -> usize {
        self.bytes - self.bytes / 4
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
    /// What of it operators hold that could use the disk instead, by their ids.
    spillable: Mutex<HashMap<usize, usize>>,
}

impl QueryPool {
    /// Takes more, or gives back where `change` turns a number into a smaller one, whether there is room or not.
    fn change(&self, taken: &mut Taken, reservation: &MemoryReservation, change: impl Fn(usize) -> usize) {
        let before = self.reserved();
        let after = change(before);
        self.used.store(after, Ordering::Relaxed);
        if reservation.consumer().can_spill() {
            let mut spillable = self.spillable();
            let held = spillable.entry(reservation.consumer().id()).or_default();
            *held = change(*held);
        }
        taken.bytes = taken.bytes.saturating_sub(before) + after;
        taken.beyond = taken.beyond.saturating_sub(self.memory.beyond(before)) + self.memory.beyond(after);
    }

    /// What the operator could have more.
    fn room(&self, taken: &Taken, consumer: &MemoryConsumer) -> usize {
        let (memory, used) = (&self.memory, self.reserved());
        let of_its_share = memory.share.saturating_sub(used);
        let for_all = memory.for_all().saturating_sub(taken.beyond);
        let room = memory.bytes.saturating_sub(taken.bytes).min(of_its_share + for_all);
        if !consumer.can_spill() {
            return room;
        }
        let spillable = self.spillable();
        let (all, own) =
            (spillable.values().sum::<usize>(), spillable.get(&consumer.id()).copied().unwrap_or_default());
        // As much again has to be left for those that cannot: what a sort merges it holds twice for a while.
        let (half, much) = ((all + room) / 2, (used + room) / 64);
        let others = spillable.iter().filter(|(id, held)| **id != consumer.id() && **held > much).count();
        let fair = half / (others + 1);
        // One that came late has a part of that, until the others have given back what they had while they were fewer.
        let late = half.saturating_sub(all - own).max(fair / 4);
        much.max(fair.min(late)).saturating_sub(own).min(room)
    }

    fn spillable(&self) -> MutexGuard<'_, HashMap<usize, usize>> {
        self.spillable.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.spillable().remove(&consumer.id());
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.change(&mut self.memory.taken(), reservation, |bytes| bytes + additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.change(&mut self.memory.taken(), reservation, |bytes| bytes.saturating_sub(shrink));
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut taken = self.memory.taken();
        let room = self.room(&taken, reservation.consumer());
        if additional > room {
            return Err(resources_datafusion_err!(
                "{} more for {}, which has {}: {} are left for it, of {} for all queries",
                human_readable_size(additional),
                reservation.consumer().name(),
                human_readable_size(reservation.size()),
                human_readable_size(room),
                human_readable_size(self.memory.bytes)
            ));
        }
        self.change(&mut taken, reservation, |bytes| bytes + additional);
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.memory.share + self.memory.for_all())
    }
}
