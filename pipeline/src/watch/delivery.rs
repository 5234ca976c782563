//! From entries looked at to things sent: complete? new? readable? Then out, waiting for the caller where it must.

use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::watch::hints::HintKind;
use crate::watch::memory::{Sent, Unreadable};
use crate::watch::scan::{Entry, FileState, look};
use crate::watch::settle::Settling;
use crate::watch::{AlreadySeen, FileKey, Found, taking};

/// Keys asked of the caller's memory at once, and files looked at in one go.
pub(super) const BATCH: usize = 1024;

/// What an ended handler says: go on, or stop because nobody listens any more.
pub(super) type Flow<T = ()> = ControlFlow<(), T>;

/// The last stretch, with all that is remembered on the way.
pub(super) struct Delivery<S> {
    pub settling: Settling,
    seen: S,
    found: mpsc::Sender<Found>,
    token: CancellationToken,
    sent: Sent,
    unreadable: Unreadable,
}

impl<S: AlreadySeen> Delivery<S> {
    pub(super) fn new(settling: Settling, seen: S, found: mpsc::Sender<Found>, token: CancellationToken) -> Self {
        Self { settling, seen, found, token, sent: Sent::default(), unreadable: Unreadable::default() }
    }

    /// Looks at paths that hints named. Answers which of them are folders.
    pub(super) async fn look(&mut self, hints: Vec<(PathBuf, HintKind)>) -> Flow<Vec<PathBuf>> {
        let mut folders = Vec::new();
        let mut hints = hints.into_iter().peekable();
        while hints.peek().is_some() {
            let chunk: Vec<_> = hints.by_ref().take(BATCH).collect();
            let looked = move || chunk.into_iter().map(|(path, hint)| (look(path), hint)).collect::<Vec<_>>();
            let Ok(entries) = tokio::task::spawn_blocking(looked).await else { return Break(()) };
            folders.extend(self.take_in(entries, true).await?);
        }
        Continue(folders)
    }

    /// Takes in entries that were looked at, and sends what is ready. Answers which of them are folders.
    pub(super) async fn take_in(&mut self, entries: Vec<(Entry, HintKind)>, tell_skips: bool) -> Flow<Vec<PathBuf>> {
        let mut folders = Vec::new();
        let mut ready = Vec::new();
        for (entry, hint) in entries {
            if let Some(path) = entry.no_file() {
                self.settling.forget(path);
            }
            match entry {
                Entry::File(state) => {
                    if hint == HintKind::Again {
                        self.sent.remove(&state);
                    }
                    ready.extend(self.settling.looked(state, hint));
                }
                Entry::Folder(path) => folders.push(path),
                Entry::Skipped { path, why } if tell_skips => self.send(Found::Skipped { path, why }).await?,
                Entry::Skipped { .. } => {}
                Entry::Unreadable { path, error, ctime_ns } => self.cannot_read(path, error, ctime_ns).await?,
                Entry::Gone(path) => self.unreadable.forget(&path),
            }
        }
        self.deliver(ready).await?;
        Continue(folders)
    }

    pub(super) async fn send(&self, found: Found) -> Flow {
        tokio::select! {
            () = self.token.cancelled() => Break(()),
            sent = self.found.send(found) => if sent.is_ok() { Continue(()) } else { Break(()) },
        }
    }

    /// Sends those of the complete files that are new.
    async fn deliver(&mut self, mut ready: Vec<FileState>) -> Flow {
        ready.retain(|state| !self.sent.contains(state));
        while !ready.is_empty() {
            let batch: Vec<FileState> = ready.drain(..ready.len().min(BATCH)).collect();
            let new = self.ask(batch).await?;
            let open = move || new.into_iter().map(|state| (try_open(&state), state)).collect::<Vec<_>>();
            let Ok(opened) = tokio::task::spawn_blocking(open).await else { return Break(()) };
            for (error, state) in opened {
                match error {
                    Some(error) => self.cannot_read(state.key.path, error, state.ctime_ns).await?,
                    None => {
                        self.unreadable.forget(&state.key.path);
                        self.sent.insert(&state);
                        self.send(Found::File(state.key)).await?;
                    }
                }
            }
        }
        Continue(())
    }

    /// Those that the caller has not taken before.
    async fn ask(&self, batch: Vec<FileState>) -> Flow<Vec<FileState>> {
        let keys: Vec<FileKey> = batch.iter().map(|state| state.key.clone()).collect();
        let answers = tokio::select! {
            () = self.token.cancelled() => return Break(()),
            answers = self.seen.seen(&keys) => answers,
        };
        let known = answers.into_iter().chain(std::iter::repeat(false));
        Continue(batch.into_iter().zip(known).filter(|(_, known)| !known).map(|(state, _)| state).collect())
    }

    async fn cannot_read(&mut self, path: PathBuf, error: io::Error, ctime_ns: i128) -> Flow {
        if self.unreadable.is_news(&path, ctime_ns) {
            self.send(Found::Unreadable { path, error }).await?;
        }
        Continue(())
    }
}

/// Why a file cannot be opened; none where it can, or where it is gone, which the caller will notice.
fn try_open(state: &FileState) -> Option<io::Error> {
    taking::open(&state.key.path).err().filter(|error| error.kind() == io::ErrorKind::PermissionDenied)
}
