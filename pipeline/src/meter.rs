//! The reader of this process's events that counts them for `GET /metrics`.

use marginalia_labeling_ui::Metrics;

use crate::events::{Event, IngestCounts};
use crate::report::EventReader;

/// Counts what the watched folders bring and how rounds go.
pub struct Meter {
    metrics: Metrics,
    /// Totals that were counted already: events tell totals, counters take what came on top.
    counted: IngestCounts,
    steps_per_epoch: u32,
}

impl Meter {
    /// A meter that writes to these.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, counted: IngestCounts::default(), steps_per_epoch: 0 }
    }

    fn count(&mut self, counts: &IngestCounts) {
        let before = std::mem::replace(&mut self.counted, *counts);
        self.metrics.inputs("folder", "new", counts.new.saturating_sub(before.new));
        self.metrics.inputs("folder", "repeat", counts.repeats.saturating_sub(before.repeats));
        self.metrics.inputs("folder", "rejected", counts.rejected.saturating_sub(before.rejected));
    }
}

impl EventReader for Meter {
    fn read(&mut self, event: &Event) {
        match event {
            Event::IngestStarted { .. } => self.counted = IngestCounts::default(),
            Event::IngestProgress { counts, .. } | Event::IngestFinished { counts, .. } => self.count(counts),
            Event::FaceScored { .. } => self.metrics.face_scored(),
            Event::RoundPlanned { steps_per_epoch, .. } => self.steps_per_epoch = *steps_per_epoch,
            Event::EpochFinished { seconds, .. } if self.steps_per_epoch > 0 => {
                self.metrics.step(seconds / f64::from(self.steps_per_epoch));
            }
            Event::RoundCommitted { seconds, .. } => self.metrics.round_ended("accepted", Some(*seconds)),
            Event::RoundRejected { seconds, .. } => self.metrics.round_ended("rejected", Some(*seconds)),
            Event::RoundAborted { .. } => self.metrics.round_ended("aborted", None),
            Event::Warning { .. } => self.metrics.warned(),
            _ => {}
        }
    }
}
