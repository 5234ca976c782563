//! Where log lines go: stderr, above the bars while those are shown there.

use std::io::{self, Write};
use std::sync::OnceLock;

use indicatif::MultiProgress;

use super::ProgressReader;

/// The bars on stderr, if this process shows any: logging is set up before it is known who reads events.
static STDERR: OnceLock<MultiProgress> = OnceLock::new();

/// A writer of log lines that shares a terminal with progress bars.
#[derive(Clone, Debug)]
pub struct LogWriter {
    bars: Option<MultiProgress>,
}

impl LogWriter {
    /// To stderr, as it is now: `tracing_subscriber` asks for a writer with every line.
    pub fn stderr() -> Self {
        Self { bars: STDERR.get().cloned() }
    }

    /// Above the bars of this reader.
    pub fn above(reader: &ProgressReader) -> Self {
        Self { bars: Some(reader.bars().clone()) }
    }
}

impl Write for LogWriter {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self.bars.as_ref().filter(|bars| !bars.is_hidden()) {
            Some(bars) => bars.println(String::from_utf8_lossy(text).trim_end())?,
            None => io::stderr().write_all(text)?,
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The bars on stderr, from now on those that log lines stand above.
pub(super) fn stderr_bars() -> MultiProgress {
    STDERR.get_or_init(MultiProgress::new).clone()
}
