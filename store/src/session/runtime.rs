//! The threads SQL runs on.
//!
//! In: work of sessions. Out: the same work on threads of its own, with stacks deep enough for the planner's recursion, so
//! that a query which keeps its thread (joins hardly yield) stalls no ingest, commit or page. People's SQL and the
//! program's own have separate threads: the first can never stall the second. As many of people's queries run side by side
//! as they have threads, whatever door they came in by: all of them share one memory, and more would only have less of it
//! each. A query that does not stop at its deadline lingers; it is counted, and new ones are refused while every thread is
//! taken.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::error::Result as EngineResult;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry, ObjectStoreUrl};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::SqlLimits;
use super::cluster::Extras;
use super::memory::Memory;
use super::names::Shelf;
use crate::error::{Error, Result};

/// Address space of one thread's stack; only what is used becomes memory.
const STACK_BYTES: usize = 32 << 20;
/// Threads that read files for a runtime; each keeps memory of its own, so that hundreds of them would keep much.
const READERS: usize = 16;

/// Threads, memory and spill space of all SQL in this process; cheap to clone.
#[derive(Clone)]
pub struct SqlRuntime {
    inner: Arc<Inner>,
}

/// What every query holds while it runs.
pub type Held = Box<dyn Any + Send + Sync>;

/// Memory, folder for spilling and room in it.
type Bounds = (usize, Option<PathBuf>, u64);

/// What sessions of the same limits have together.
#[derive(Clone)]
pub(super) struct Environment {
    pub engine: Arc<RuntimeEnv>,
    pub memory: Arc<Memory>,
}

struct Inner {
    people: Threads,
    program: Threads,
    threads: usize,
    /// One for each of people's queries that may run.
    places: Arc<Semaphore>,
    /// One per set of limits, so that the bounds hold for all sessions together.
    environments: Mutex<HashMap<Bounds, Environment>>,
    /// What all sessions plan over.
    shelf: Shelf,
    lingering: Arc<AtomicUsize>,
    hold: fn() -> Held,
    extras: Extras,
}

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Untrusted text.
    People,
    /// The program's own.
    Program,
}

impl SqlRuntime {
    /// Starts the threads: four for people's SQL and four for the program's, or one per core where there are more.
    pub fn new() -> Result<Self> {
        Self::holding(|| Box::new(()))
    }

    /// The same; every query makes such a thing when it begins and drops it when it ends.
    pub fn holding(hold: fn() -> Held) -> Result<Self> {
        Self::with(hold, Extras::default())
    }

    /// The same, with what the program adds to every session.
    pub fn with(hold: fn() -> Held, extras: Extras) -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
        let inner = Inner {
            people: Threads::start("sql", threads, extras.thread_start)?,
            program: Threads::start("sql-own", threads, extras.thread_start)?,
            threads,
            places: Arc::new(Semaphore::new(threads)),
            environments: Mutex::default(),
            shelf: Shelf::default(),
            lingering: Arc::default(),
            hold,
            extras,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Queries that passed their deadline and have not ended yet.
    pub fn lingering(&self) -> usize {
        self.inner.lingering.load(Ordering::Relaxed)
    }

    /// Threads that people's SQL has, and queries of theirs that run side by side.
    pub fn threads(&self) -> usize {
        self.inner.threads
    }

    /// Rows from which plans run on other machines; none where there are no others.
    pub fn cluster_from_rows(&self) -> Option<u64> {
        self.inner.extras.cluster.as_ref().map(|cluster| cluster.least_rows())
    }

    /// Waits for a place in the order of asking; none where nothing ended in that time.
    pub(super) async fn place(&self, wait: Duration) -> Option<OwnedSemaphorePermit> {
        let turn = tokio::time::timeout(wait, self.inner.places.clone().acquire_owned()).await;
        turn.ok()?.ok()
    }

    pub(super) fn handle(&self, origin: Origin) -> &Handle {
        match origin {
            Origin::People => &self.inner.people.handle,
            Origin::Program => &self.inner.program.handle,
        }
    }

    /// Memory and spill space for sessions of these limits.
    pub(super) fn environment(&self, limits: &SqlLimits) -> Result<Environment> {
        let key = (limits.memory_bytes, limits.temp_dir.clone(), limits.max_temp_bytes);
        let mut environments = self.inner.environments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = environments.get(&key) {
            return Ok(environment.clone());
        }
        let mode = match &limits.temp_dir {
            Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
            None => DiskManagerMode::OsTmpDirectory,
        };
        let disk = DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(limits.max_temp_bytes);
        let memory = Arc::new(Memory::new(limits.memory_bytes, self.threads()));
        let engine = RuntimeEnvBuilder::new()
            .with_memory_pool(memory.pool())
            .with_disk_manager_builder(disk)
            .with_object_store_registry(no_stores()?)
            .build_arc()?;
        let environment = Environment { engine, memory };
        environments.insert(key, environment.clone());
        Ok(environment)
    }

    pub(super) fn extras(&self) -> &Extras {
        &self.inner.extras
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.inner.shelf
    }

    pub(super) fn track(&self) -> Arc<Running> {
        let lingering = self.inner.lingering.clone();
        Arc::new(Running { lingering, overdue: AtomicBool::new(false), _held: (self.inner.hold)() })
    }
}

impl fmt::Debug for SqlRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlRuntime").field("threads", &self.threads()).field("lingering", &self.lingering()).finish()
    }
}

/// A registry without a store: the default one knows the local disk, and SQL has no business there.
pub(super) fn no_stores() -> EngineResult<Arc<dyn ObjectStoreRegistry>> {
    let stores = DefaultObjectStoreRegistry::new();
    stores.deregister_store(ObjectStoreUrl::local_filesystem().as_ref())?;
    Ok(Arc::new(stores))
}

/// A tokio runtime that may be dropped anywhere: it does not wait for tasks that hold their thread.
struct Threads {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Threads {
    fn start(name: &'static str, threads: usize, start: Option<fn()>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_stack_size(STACK_BYTES)
            .thread_name(name)
            .on_thread_start(move || start.into_iter().for_each(|start| start()))
            .max_blocking_threads(READERS)
            .enable_all()
            .build()
            .map_err(Error::io("threads for SQL"))?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take().map(ManuallyDrop::new) else { return };
        // A thread of its own waits for the others. `shutdown_background` would detach threads that are just ending, and so
        // would dropping this thread's handle: where a stack is given back to the system at once, glibc then looks at one that
        // is gone (BZ 19951), and the program dies of it after its work is done.
        let ending = std::thread::Builder::new().name("sql-end".to_owned());
        std::mem::forget(ending.spawn(move || drop(ManuallyDrop::into_inner(runtime))));
    }
}

/// One running query: held by its task and, through its memory pool, by every operator that still holds memory.
#[derive(Debug)]
pub(super) struct Running {
    lingering: Arc<AtomicUsize>,
    overdue: AtomicBool,
    _held: Held,
}

impl Running {
    /// Its deadline has passed.
    pub(super) fn set_overdue(&self) {
        if !self.overdue.swap(true, Ordering::Relaxed) {
            self.lingering.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if *self.overdue.get_mut() {
            self.lingering.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Environment {
    /// For one query, with a pool that also keeps its [`Running`] alive.
    pub fn tracked(&self, running: Arc<Running>) -> Arc<RuntimeEnv> {
        let pool = TrackedPool { inner: self.memory.pool(), _running: running };
        Arc::new(RuntimeEnv { memory_pool: Arc::new(pool), ..(*self.engine).clone() })
    }
}

#[derive(Debug)]
struct TrackedPool {
    inner: Arc<dyn MemoryPool>,
    _running: Arc<Running>,
}

impl fmt::Display for TrackedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl MemoryPool for TrackedPool {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.inner.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.inner.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.inner.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.inner.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> EngineResult<()> {
        self.inner.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.inner.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.inner.memory_limit()
    }
}
