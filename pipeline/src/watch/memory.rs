//! What the watcher remembers for a while, each with a bound: what it sent, what it could not read, which folders to walk.
//!
//! Forgetting early is harmless: a file is then sent a second time, and its hash says that it is known.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

use crate::watch::scan::FileState;

/// States sent lately, as hashes: 1 MB, and more than the caller has in work before its own memory knows them.
const SENT: usize = 65_536;
/// Unreadable paths that are not reported again unless they change.
const UNREADABLE: usize = 4096;
/// New folders that wait for a walk.
const FOLDERS: usize = 4096;

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
    waiting: BTreeSet<PathBuf>,
}

impl Folders {
    /// Wants a folder walked; false where too many wait.
    pub(super) fn add(&mut self, path: PathBuf) -> bool {
        let covered = path.ancestors().any(|above| self.waiting.contains(above));
        covered || (self.waiting.len() < FOLDERS && self.waiting.insert(path))
    }

    pub(super) fn take(&mut self) -> Option<PathBuf> {
        self.waiting.pop_first()
    }
}
