//! One JSON document a line for every event, for programs.

use std::io::Write;

use crate::events::Event;
use crate::report::EventReader;

/// Writes events as JSON lines and flushes after each, so that a pipe sees them as they happen.
pub struct JsonReader<W> {
    /// None once the other end has closed: a program that has read enough is no reason to stop the work.
    out: Option<W>,
}

impl<W: Write + Send> JsonReader<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out: Some(out) }
    }
}

impl<W: Write + Send> EventReader for JsonReader<W> {
    fn read(&mut self, event: &Event) {
        let Some(out) = &mut self.out else { return };
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }
}
