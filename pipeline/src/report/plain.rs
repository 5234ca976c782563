//! Events as plain lines, for log files and pipes.

use std::collections::HashMap;
use std::io::Write;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

use crate::events::Event;
use crate::report::{EventReader, words};

/// A log file wants to know that work goes on, not every step.
const TICK_EVERY: Duration = Duration::from_secs(10);

/// Writes one line for an event, and of the ticks of a kind at most one in ten seconds.
pub struct PlainReader<W> {
    /// None once the other end has closed.
    out: Option<W>,
    ticked: HashMap<Discriminant<Event>, Instant>,
}

impl<W: Write + Send> PlainReader<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out: Some(out), ticked: HashMap::new() }
    }

    /// Whether this tick comes too soon after the last one of its kind.
    fn too_soon(&mut self, event: &Event) -> bool {
        if !event.is_tick() {
            return false;
        }
        let now = Instant::now();
        let last = self.ticked.entry(discriminant(event)).or_insert(now);
        // The first tick of a kind says little more than the event that began the work.
        let soon = now.duration_since(*last) < TICK_EVERY;
        if !soon {
            *last = now;
        }
        soon
    }
}

impl<W: Write + Send> EventReader for PlainReader<W> {
    fn read(&mut self, event: &Event) {
        if self.too_soon(event) {
            return;
        }
        let (Some(out), Some(line)) = (&mut self.out, words::line(event)) else { return };
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }
}
