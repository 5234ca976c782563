//! Whether the wall clock can be trusted with deleting: old versions go by age, and a clock that jumped makes them old.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::columns::Timestamp;

/// How far two clocks may be apart.
const ALLOWED: Duration = Duration::from_secs(60);

/// Compares the wall clock with the one that cannot be set.
#[derive(Debug)]
pub(crate) struct ClockGuard {
    /// When both were last read together.
    both: Mutex<(Timestamp, Instant)>,
}

impl ClockGuard {
    pub fn new(now: Timestamp) -> Self {
        Self { both: Mutex::new((now, Instant::now())) }
    }

    /// What is wrong with the wall clock, if anything: it moved against the monotonic clock since it was last asked, or it
    /// is behind the newest commit.
    pub fn fault(&self, now: Timestamp, newest_commit: Timestamp) -> Option<String> {
        let mut both = self.both.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall, monotonic) = *both;
        // From here on it is measured anew: after a jump that was put right, or a machine that slept, clean-up goes on.
        *both = (now, Instant::now());
        let expected = wall.0.saturating_add(micros(monotonic.elapsed()));
        let jump = now.0.saturating_sub(expected);
        if jump.unsigned_abs() > ALLOWED.as_micros() as u64 {
            return Some(format!("the clock jumped by {} s", jump / 1_000_000));
        }
        let ahead = newest_commit.0.saturating_sub(now.0);
        (ahead > micros(ALLOWED)).then(|| format!("the newest commit is {} s in the clock's future", ahead / 1_000_000))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_a_fault_once_and_a_commit_from_the_future_always() {
        let day = 86_400_000_000;
        for jump in [30 * day, -30 * day] {
            let guard = ClockGuard::new(Timestamp(100 * day));
            assert_eq!(guard.fault(Timestamp(100 * day), Timestamp(99 * day)), None);
            assert!(guard.fault(Timestamp(100 * day + jump), Timestamp(0)).unwrap().contains("jumped"));
            assert_eq!(guard.fault(Timestamp(100 * day + jump), Timestamp(0)), None);
        }
        let guard = ClockGuard::new(Timestamp(100 * day));
        for _ in 0..2 {
            assert!(guard.fault(Timestamp(100 * day), Timestamp(130 * day)).unwrap().contains("future"));
        }
    }
}
