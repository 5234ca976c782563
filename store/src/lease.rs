//! Leases: what file locks are between processes of one machine, between machines that share an object store.
//!
//! In: a purpose. Out: a lease that is renewed until it is dropped, and runs out by itself where its holder dies. Each holder
//! has a number: the next one creates the object with the next number, which only one can; a holder that was asleep finds
//! that number taken and knows that it holds nothing any more. Ages are told by the store's own clock, on which all agree.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::objects::Objects;

/// Age from which a lease that was not renewed is nobody's.
pub(crate) const EXPIRES: Duration = Duration::from_secs(30);

/// How often a lease is renewed.
const RENEWS: Duration = Duration::from_secs(7);

/// How long its holder trusts a renewal; less than `EXPIRES`, so that it stops before somebody else begins.
const TRUSTS: Duration = Duration::from_secs(22);

/// A lease that is held.
#[derive(Debug)]
pub(crate) struct Lease {
    held: Arc<Held>,
    renewal: JoinHandle<()>,
}

#[derive(Debug)]
struct Held {
    remote: Arc<Objects>,
    what: &'static str,
    folder: String,
    number: u64,
    holder: Holder,
    renewed: Mutex<(Instant, SystemTime)>,
    is_lost: AtomicBool,
    is_released: AtomicBool,
}

/// Who holds it, as the object says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Holder {
    machine: String,
    process: u32,
    released: bool,
}

impl Lease {
    /// Takes the lease if nobody holds it. The caller has the file lock of the same purpose on this machine, so a lease that
    /// names this machine belongs to a process that died.
    ///
    /// # Errors
    /// [`Error::Leased`] with its holder.
    pub async fn take(remote: &Arc<Objects>, name: &str, what: &'static str, machine: &str) -> Result<Self> {
        let folder = format!("locks/{name}");
        let mut known: Vec<(u64, String)> = remote
            .list(&folder)
            .await?
            .into_iter()
            .filter_map(|(object, _)| Some((object.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()?, object)))
            .collect();
        known.sort_unstable();
        if let Some((_, newest)) = known.last() {
            refuse_living(remote, newest, what, machine).await?;
        }
        let holder = Holder { machine: machine.to_owned(), process: std::process::id(), released: false };
        let number = known.last().map_or(1, |(number, _)| number + 1);
        let held = Arc::new(Held {
            remote: remote.clone(),
            what,
            folder,
            number,
            holder,
            renewed: Mutex::new((Instant::now(), SystemTime::now())),
            is_lost: AtomicBool::new(false),
            is_released: AtomicBool::new(false),
        });
        if !remote.create(&held.object(number), &held.text(false)).await? {
            let who = "another machine, since this moment".to_owned();
            return Err(Error::Leased { what, uri: remote.uri().to_owned(), who });
        }
        for (_, older) in known {
            remote.remove(&older).await?;
        }
        let renewal = tokio::spawn(held.clone().renew());
        Ok(Self { held, renewal })
    }

    /// Makes sure that it is still held.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] where it ran out, or somebody else took it: what is under way must not be finished.
    pub fn check(&self) -> Result<()> {
        let held = &self.held;
        let (instant, wall) = *held.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        // The one clock stands still while the machine sleeps, the other may be set back.
        let age = instant.elapsed().max(wall.elapsed().unwrap_or(Duration::ZERO));
        if held.is_lost.load(Ordering::Acquire) || age > TRUSTS {
            return Err(Error::LeaseLost { what: held.what, uri: held.remote.uri().to_owned() });
        }
        Ok(())
    }
}

impl Lease {
    /// Lets go of it, so that the next one need not wait until it has run out.
    pub async fn release(self) {
        self.renewal.abort();
        self.held.is_released.store(true, Ordering::Release);
        if let Err(error) = self.held.remote.put(&self.held.object(self.held.number), &self.held.text(true)).await {
            tracing::debug!("the lease of {} runs out by itself: {error}", self.held.what);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
        if self.held.is_released.load(Ordering::Acquire) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let held = self.held.clone();
            // Where this does not come about any more, it runs out by itself.
            runtime.spawn(async move { held.remote.put(&held.object(held.number), &held.text(true)).await });
        }
    }
}

impl Held {
    async fn renew(self: Arc<Self>) {
        loop {
            tokio::time::sleep(RENEWS).await;
            let started = (Instant::now(), SystemTime::now());
            match self.renew_once().await {
                Ok(true) => *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = started,
                Ok(false) => {
                    self.is_lost.store(true, Ordering::Release);
                    return;
                }
                // Tried again, until it runs out.
                Err(error) => tracing::warn!("the lease of {} was not renewed: {error}", self.what),
            }
        }
    }

    async fn renew_once(&self) -> Result<bool> {
        if self.remote.head(&self.object(self.number + 1)).await?.is_some() {
            return Ok(false);
        }
        self.remote.put(&self.object(self.number), &self.text(false)).await?;
        // Taken between the look and the put?
        Ok(self.remote.head(&self.object(self.number + 1)).await?.is_none())
    }

    fn object(&self, number: u64) -> String {
        format!("{}/{number:016}.json", self.folder)
    }

    fn text(&self, released: bool) -> Vec<u8> {
        serde_json::to_vec(&Holder { released, ..self.holder.clone() }).unwrap_or_default()
    }
}

/// Refuses where the newest lease is held by another machine and has not run out.
async fn refuse_living(remote: &Objects, newest: &str, what: &'static str, machine: &str) -> Result<()> {
    let (Some(bytes), Some(lease)) = (remote.get(newest).await?, remote.head(newest).await?) else { return Ok(()) };
    // One that does not read is a holder's all the same, until it runs out.
    let unknown = Holder { machine: "unknown".to_owned(), process: 0, released: false };
    let holder: Holder = serde_json::from_slice(&bytes).unwrap_or(unknown);
    if holder.released || holder.machine == machine {
        return Ok(());
    }
    let clock = format!("locks/clock/{machine}");
    remote.put(&clock, b"now").await?;
    let Some(now) = remote.head(&clock).await? else { return Ok(()) };
    let age = (now.last_modified - lease.last_modified).to_std().unwrap_or(Duration::ZERO);
    // The store tells time in whole seconds.
    if age > EXPIRES + Duration::from_secs(2) {
        return Ok(());
    }
    let who = format!("process {} of {}, renewed {} s ago", holder.process, holder.machine, age.as_secs());
    Err(Error::Leased { what, uri: remote.uri().to_owned(), who })
}
