//! How often this process commits faces.
//!
//! In: how many processes write to the corpus, and how often their commits met. Out: when the next commit is due, and
//! what has been committed. An object store takes a few commits of one table a second, whoever makes them: each process
//! takes its share of those, and less of them where commits meet all the same. A folder takes a hundred, and its
//! writers wait for nobody.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::columns::Timestamp;

/// Commits of one table that all processes together make in an object store, a second.
const COMMITS_A_SECOND: u32 = 4;

/// Time between two commits of one process there: the least, and the most however many write.
const LEAST: Duration = Duration::from_millis(500);
const MOST: Duration = Duration::from_secs(10);

/// How many times its share a process waits at most where commits meet.
const SLOWED: f64 = 4.0;

/// Share of the mean of conflicts that stays with each commit.
const REMEMBERED: f64 = 0.8;

/// When commits are due, and what they held.
#[derive(Debug)]
pub struct Cadence {
    in_store: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Processes that share the store.
    writers: u32,
    /// Conflicts of a commit, the mean of the last ones.
    conflicts: f64,
    begun: Option<Instant>,
    done: Done,
}

/// What this process has committed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Done {
    /// Commits.
    pub commits: u64,
    /// Faces in them.
    pub faces: u64,
    /// The last one.
    pub last_commit_at: Option<Timestamp>,
}

impl Cadence {
    /// For a corpus in an object store, or in a folder.
    pub fn new(in_store: bool) -> Self {
        Self { in_store, state: Mutex::default() }
    }

    /// Time from one commit to the next.
    pub fn interval(&self) -> Duration {
        if !self.in_store {
            return Duration::ZERO;
        }
        let state = self.state();
        let share = Duration::from_secs(1) * state.writers / COMMITS_A_SECOND;
        // One conflict a commit is what sharing costs; more say that the store is slower than thought.
        share.max(LEAST).mul_f64(state.conflicts.clamp(1.0, SLOWED)).min(MOST)
    }

    /// When the next commit is due; a moment that is over where nothing was committed lately.
    pub fn due(&self) -> Option<Instant> {
        let begun = self.state().begun;
        begun.map(|begun| begun + self.interval())
    }

    /// So many processes write, this one included.
    pub fn share(&self, writers: usize) {
        self.state().writers = u32::try_from(writers).unwrap_or(u32::MAX).min(1000);
    }

    /// A commit begins.
    pub fn begin(&self) {
        self.state().begun = Some(Instant::now());
    }

    /// It is done: so many faces, after so many conflicts.
    pub fn committed(&self, faces: usize, conflicts: u64, at: Timestamp) {
        let mut state = self.state();
        state.conflicts = REMEMBERED * state.conflicts + (1.0 - REMEMBERED) * conflicts as f64;
        state.done.commits += 1;
        state.done.faces += faces as u64;
        state.done.last_commit_at = Some(at);
    }

    /// What was committed so far.
    pub fn done(&self) -> Done {
        self.state().done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_share_what_a_store_takes() {
        let cadence = Cadence::new(true);
        let intervals = [1, 2, 4, 8, 16, 1000].map(|writers| {
            cadence.share(writers);
            cadence.interval().as_millis()
        });
        assert_eq!(intervals, [500, 500, 1000, 2000, 4000, 10_000]);
    }

    #[test]
    fn commits_that_meet_come_less_often_until_they_meet_no_more() {
        let cadence = Cadence::new(true);
        let after = |conflicts: u64| {
            (0..40).for_each(|_| cadence.committed(10, conflicts, Timestamp(7)));
            cadence.interval().as_millis()
        };
        assert_eq!(after(1), 500, "meeting once is what sharing costs");
        let twice = after(2);
        assert!((990..=1000).contains(&twice), "{twice}");
        assert_eq!(after(50), 2000, "four times at most");
        assert_eq!(after(0), 500);
        assert_eq!(cadence.done(), Done { commits: 160, faces: 1600, last_commit_at: Some(Timestamp(7)) });
    }

    #[test]
    fn in_a_folder_nobody_waits() {
        let cadence = Cadence::new(false);
        cadence.share(100);
        cadence.committed(1, 100, Timestamp(7));
        assert_eq!(cadence.interval(), Duration::ZERO);
    }
}
