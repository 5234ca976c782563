//! When a file is complete: its size and times held still long enough, or its writer said so.
//!
//! How long is enough depends on what is known. With change notices it is the setting `settle_ms`, and a file known to be
//! open for writing, or still empty, gets [`PATIENCE`]: its close will be told, and only a lost notice makes the wait
//! count. Without notices a pause of the writer looks like its end, so it is [`UNTOLD`] times the setting. On shared file
//! systems, whose clocks are not ours, stillness must be seen and not read off the file's times.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::watch::hints::HintKind;
use crate::watch::scan::FileState;

/// Stillness of a file whose close is still to be told.
const PATIENCE: Duration = Duration::from_secs(10);
/// Factor on the setting where nobody tells that a file was closed.
const UNTOLD: u32 = 5;
/// By how much the clock of a shared file system may be behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// Files that may wait: some tens of MB. Beyond, scans wait until some have settled.
const WAITING: usize = 65_536;

/// Files that are not complete yet.
pub(super) struct Settling {
    settle: Duration,
    /// Age by a file's own times that proves stillness without watching it.
    proof: Duration,
    /// Stillness of a file whose close is still to be told.
    patience: Duration,
    waiting: HashMap<PathBuf, Waiting>,
}

struct Waiting {
    /// As last looked at; none while only a writer is known.
    state: Option<FileState>,
    /// Whether a writer has it open.
    writing: bool,
    /// When it last changed.
    still_since: Instant,
    /// When it was first met.
    met: Instant,
}

impl Settling {
    /// With change notices, until [`Settling::untold`].
    pub(super) fn new(settle: Duration) -> Self {
        Self { settle, proof: settle, patience: settle.max(PATIENCE), waiting: HashMap::new() }
    }

    /// From here on there are no notices; `shared` where the clock of the files is not ours.
    pub(super) fn untold(&mut self, settle: Duration, shared: bool) {
        self.settle = settle * UNTOLD;
        self.proof = if shared { self.settle.max(CLOCK_SKEW) } else { self.settle };
        self.patience = self.settle;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING
    }

    /// A writer has the file open. There is no need to look at it before it is closed.
    pub(super) fn writing(&mut self, path: PathBuf) {
        let now = Instant::now();
        let waiting =
            self.waiting.entry(path).or_insert(Waiting { state: None, writing: true, still_since: now, met: now });
        waiting.writing = true;
        waiting.still_since = now;
    }

    /// There is nothing to wait for at that path any more.
    pub(super) fn forget(&mut self, path: &Path) {
        self.waiting.remove(path);
    }

    /// Takes in a look at a file and gives it back if it is complete; otherwise it waits.
    pub(super) fn looked(&mut self, state: FileState, hint: HintKind) -> Option<FileState> {
        let path = &state.key.path;
        if hint == HintKind::Complete {
            self.waiting.remove(path);
            return Some(state);
        }
        let now = Instant::now();
        let Some(waiting) = self.waiting.get_mut(path) else {
            let needed = if state.key.size == 0 { self.proof.max(self.patience) } else { self.proof };
            let age = SystemTime::now().duration_since(state.changed()).unwrap_or_default();
            if hint != HintKind::Again && age >= needed {
                return Some(state);
            }
            let waiting = Waiting { state: Some(state.clone()), writing: false, still_since: now, met: now };
            self.waiting.insert(path.clone(), waiting);
            return None;
        };
        let same = waiting.state.as_ref().is_none_or(|seen| seen.key == state.key && seen.ctime_ns == state.ctime_ns);
        if !same {
            waiting.still_since = now;
        }
        waiting.state = Some(state.clone());
        if waiting.due(self.settle, self.patience) <= now { self.waiting.remove(path).and(Some(state)) } else { None }
    }

    /// When the first of the waiting files may be complete.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.due(self.settle, self.patience)).min()
    }

    /// Files that may be complete by now.
    pub(super) fn due(&self) -> Vec<PathBuf> {
        let now = Instant::now();
        let due = self.waiting.iter().filter(|(_, waiting)| waiting.due(self.settle, self.patience) <= now);
        let mut paths: Vec<PathBuf> = due.map(|(path, _)| path.clone()).collect();
        paths.sort_unstable();
        paths
    }

    /// Gives up on files that have been waiting for longer than `patience`.
    pub(super) fn give_up(&mut self, patience: Duration) -> Vec<PathBuf> {
        let now = Instant::now();
        let tired = self.waiting.extract_if(|_, waiting| now.duration_since(waiting.met) > patience);
        let mut paths: Vec<PathBuf> = tired.map(|(path, _)| path).collect();
        paths.sort_unstable();
        paths
    }
}

impl Waiting {
    /// When it is complete, if nothing changes before.
    fn due(&self, settle: Duration, patience: Duration) -> Instant {
        let empty = self.state.as_ref().is_none_or(|state| state.key.size == 0);
        self.still_since + if self.writing || empty { patience } else { settle }
    }
}
