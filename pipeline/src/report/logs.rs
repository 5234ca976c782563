//! Where log lines go: stderr, with the bars taken away while a line is written.

use std::io::{self, Write};

use indicatif::MultiProgress;
use tracing_subscriber::fmt::MakeWriter;

/// A writer for `tracing_subscriber` that shares stderr with the progress bars.
#[derive(Clone)]
pub struct LogWriter {
    bars: Option<MultiProgress>,
}

impl LogWriter {
    pub(super) fn stderr() -> Self {
        Self { bars: None }
    }

    pub(super) fn beside(bars: MultiProgress) -> Self {
        Self { bars: Some(bars) }
    }
}

impl Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &self.bars {
            Some(bars) => bars.suspend(|| io::stderr().write_all(text))?,
            None => io::stderr().write_all(text)?,
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
