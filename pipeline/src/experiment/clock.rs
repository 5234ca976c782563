//! How long what is left of an experiment will take.
//!
//! In: the runs to come, and how long each took that ended. Out: seconds, by what each arm took.

use std::collections::HashMap;

use super::plan::Cell;

pub(super) struct Clock {
    /// Runs to be made, by arm.
    to_come: HashMap<String, usize>,
    /// Seconds and number of the runs that were made, by arm.
    taken: HashMap<String, (f64, usize)>,
}

impl Clock {
    pub fn new(to_come: &[&Cell<'_>]) -> Self {
        let mut clock = Self { to_come: HashMap::new(), taken: HashMap::new() };
        for cell in to_come {
            *clock.to_come.entry(cell.arm.name.clone()).or_default() += 1;
        }
        clock
    }

    /// A run of this arm ended; without a duration it was broken off, and says nothing of the next.
    pub fn ended(&mut self, arm: &str, seconds: Option<f64>) {
        if let Some(count) = self.to_come.get_mut(arm) {
            *count = count.saturating_sub(1);
        }
        if let Some(seconds) = seconds {
            let (sum, count) = self.taken.entry(arm.to_owned()).or_default();
            *sum += seconds;
            *count += 1;
        }
    }

    /// Seconds; an arm that has not run yet takes as long as the mean of the others.
    pub fn left(&self) -> f64 {
        let (seconds, count) = self.taken.values().fold((0.0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        let mean = seconds / f64::from(count.max(1) as u32);
        let of_arm = |arm: &str| self.taken.get(arm).map_or(mean, |(seconds, count)| seconds / *count as f64);
        self.to_come.iter().map(|(arm, count)| of_arm(arm) * *count as f64).sum()
    }
}
