//! What the watcher remembers for a while, each with a bound: what it sent, what it could not read, which folders to walk.
//!
//! Forgetting early is harmless: a file is then sent a second time, and its hash says that it is known.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::watch::scan::FileState;

/// States sent lately, as hashes: 1 MB, and more than the caller has in work before its own memory knows them.
const SENT: usize = 65_536;
/// Unreadable paths that are not reported again unless they change.
const UNREADABLE: usize = 4096;
/// New folders that wait for a walk.
const FOLDERS: usize = 4096;
/// A new folder is walked again until nothing new is in it, because the system watches it only some time after it
/// appeared; so often at most.
const WALKS: u32 = 10;
const WALK_AGAIN: Duration = Duration::from_secs(1);

/// Files sent lately.
#[derive(Default)]
pub(super) struct Sent {
    hasher: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Sent {
    pub(super) fn contains(&self, state: &FileState) -> bool {
        self.known.contains(&self.hash(state))
    }

    pub(super) fn insert(&mut self, state: &FileState) {
        let hash = self.hash(state);
        if self.known.insert(hash) {
            self.order.push_back(hash);
        }
        if self.order.len() > SENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    pub(super) fn remove(&mut self, state: &FileState) {
        self.known.remove(&self.hash(state));
    }

    fn hash(&self, state: &FileState) -> u64 {
        self.hasher.hash_one((&state.key, state.ctime_ns))
    }
}

/// Paths that could not be read, with the time of their last change.
#[derive(Default)]
pub(super) struct Unreadable {
    known: HashMap<PathBuf, i128>,
}

impl Unreadable {
    /// Remembers a path; false where it was reported in this state before.
    pub(super) fn is_news(&mut self, path: &Path, ctime_ns: i128) -> bool {
        if self.known.get(path) == Some(&ctime_ns) {
            return false;
        }
        if self.known.len() >= UNREADABLE {
            self.known.clear();
        }
        self.known.insert(path.to_path_buf(), ctime_ns);
        true
    }

    pub(super) fn forget(&mut self, path: &Path) {
        self.known.remove(path);
    }
}

/// Folders to walk because a hint named them.
#[derive(Default)]
pub(super) struct Folders {
    waiting: HashMap<PathBuf, Visit>,
}

/// One walk of a folder.
struct Visit {
    due: Instant,
    /// How often it was walked before.
    walks: u32,
}

impl Folders {
    /// Wants a folder walked now; false where too many wait.
    pub(super) fn add(&mut self, path: PathBuf) -> bool {
        let now = Instant::now();
        let covered =
            path.ancestors().skip(1).any(|above| self.waiting.get(above).is_some_and(|visit| visit.due <= now));
        if covered {
            return true;
        }
        if self.waiting.len() >= FOLDERS {
            return false;
        }
        let visit = self.waiting.entry(path).or_insert(Visit { due: now, walks: 0 });
        visit.due = now;
        true
    }

    /// After a walk that found something, or the first: the folder is walked once more in a while.
    pub(super) fn walked(&mut self, path: PathBuf, walks: u32, news: bool) {
        if walks == 0 || (news && walks < WALKS) {
            let due = Instant::now() + WALK_AGAIN;
            self.waiting.entry(path).or_insert(Visit { due, walks: walks + 1 });
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|visit| visit.due).min()
    }

    /// Takes the folder that has waited longest, with how often it was walked before.
    pub(super) fn take(&mut self) -> Option<(PathBuf, u32)> {
        let (path, _) = self.waiting.iter().min_by_key(|(path, visit)| (visit.due, path.as_path()))?;
        let path = path.clone();
        self.waiting.remove(&path).map(|visit| (path, visit.walks))
    }
}
