//! The readers of [`Event`]s: bars on a terminal, plain lines elsewhere, JSON lines for programs.
//!
//! Workers hold a [`Reporter`] and emit. One thread takes the events from a bounded queue and hands each to every
//! reader, so that a slow terminal slows the work only once [`QUEUE`] events wait; of those, progress ticks are left out
//! rather than waited for. Progress and logs go to stderr, JSON lines to stdout, like all results.

mod json;
mod logs;
mod plain;
mod progress;
mod words;

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

pub use self::json::JsonReader;
pub use self::logs::LogWriter;
pub use self::plain::PlainReader;
pub use self::progress::ProgressReader;
use crate::events::Event;

/// Events that may wait for the readers: a second's worth of a busy stream, and well under a megabyte.
const QUEUE: usize = 1024;

/// How a command tells what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bars and lines on a terminal (stderr).
    Progress,
    /// Lines (stderr).
    Plain,
    /// One JSON document a line (stdout).
    Json,
    /// Nothing.
    Silent,
}

impl Mode {
    /// JSON where asked for, bars where stderr is a terminal, plain lines otherwise.
    pub fn choose(json: bool) -> Self {
        if json {
            Self::Json
        } else if std::io::stderr().is_terminal() {
            Self::Progress
        } else {
            Self::Plain
        }
    }
}

/// Something that is told every event, in order, on one thread.
pub trait EventReader: Send {
    /// Takes one event.
    fn read(&mut self, event: &Event);

    /// Called once, after the last event.
    fn finish(&mut self) {}
}

enum Message {
    Event(Box<Event>),
    End,
}

/// The sending end, cheap to clone. Emitting never fails: when nobody reads any more, events go nowhere.
#[derive(Clone)]
pub struct Reporter {
    queue: SyncSender<Message>,
}

impl Reporter {
    /// Starts the readers of a mode.
    pub fn start(mode: Mode) -> (Self, ReporterHandle) {
        Self::start_beside(mode, Vec::new())
    }

    /// Starts the readers of a mode beside others, such as those who listen over HTTP.
    pub fn start_beside(mode: Mode, mut readers: Vec<Box<dyn EventReader>>) -> (Self, ReporterHandle) {
        match mode {
            Mode::Progress => readers.push(Box::new(ProgressReader::stderr())),
            Mode::Plain => readers.push(Box::new(PlainReader::new(std::io::stderr()))),
            Mode::Json => readers.push(Box::new(JsonReader::new(std::io::stdout()))),
            Mode::Silent => {}
        }
        Self::start_with(readers)
    }

    /// Starts readers of one's own.
    pub fn start_with(readers: Vec<Box<dyn EventReader>>) -> (Self, ReporterHandle) {
        let (queue, events) = sync_channel(QUEUE);
        // Without a thread the receiver is dropped and events go nowhere: a command can work without being watched.
        let thread = std::thread::Builder::new().name("report".to_owned()).spawn(move || pump(&events, readers)).ok();
        (Self { queue: queue.clone() }, ReporterHandle { queue, thread })
    }

    /// Tells an event. A tick is left out while the queue is full; any other event waits for room.
    pub fn emit(&self, event: Event) {
        let tick = event.is_tick();
        if let Err(TrySendError::Full(message)) = self.queue.try_send(Message::Event(Box::new(event)))
            && !tick
        {
            // An error means that the readers have ended: nobody is left to tell.
            let _ = self.queue.send(message);
        }
    }

    /// Tells a warning.
    pub fn warn(&self, message: impl Into<String>) {
        self.emit(Event::Warning { message: message.into() });
    }
}

/// The readers' side; finishing, or dropping, it shows what is still queued and ends the readers.
pub struct ReporterHandle {
    queue: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl ReporterHandle {
    /// Shows everything emitted before, then ends the readers.
    pub fn finish(self) {
        drop(self);
    }
}

impl Drop for ReporterHandle {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Both fail only when the readers' thread has ended already.
            let _ = self.queue.send(Message::End);
            let _ = thread.join();
        }
    }
}

fn pump(events: &Receiver<Message>, mut readers: Vec<Box<dyn EventReader>>) {
    while let Ok(Message::Event(event)) = events.recv() {
        for reader in &mut readers {
            reader.read(&event);
        }
    }
    for reader in &mut readers {
        reader.finish();
    }
}
