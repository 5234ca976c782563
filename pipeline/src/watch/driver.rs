//! The loop behind the watcher: it takes in scans, hints and the passing of time, and sends what is complete and new.
//!
//! Everything happens in one task, so nothing in here is shared. Looking at files happens on blocking threads in batches.
//! Sending waits for the caller; meanwhile scans wait in a bounded channel and hints merge in the bounded inbox.

use std::ops::ControlFlow::{Break, Continue};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Poll;
use crate::watch::delivery::{Delivery, Flow};
use crate::watch::hints::{HintKind, Hints, Inbox, NoHints, Waiting};
use crate::watch::ignore::Ignore;
use crate::watch::memory::Folders;
use crate::watch::scan::{self, Entry};
use crate::watch::{AlreadySeen, Found, Skip, WatchSettings, filesystem};

/// Least pause between two full scans, however many hints are lost.
const SCAN_PAUSE: Duration = Duration::from_secs(1);
/// While polling, so many times the length of a scan passes before the next: polling costs a fifth of a core at most.
const POLL_REST: u32 = 4;
/// How long a single scan waits for a file that somebody keeps writing.
const SINGLE_SCAN_PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Driver<S> {
    roots: Vec<PathBuf>,
    settings: WatchSettings,
    ignore: Arc<Ignore>,
    /// None without hints.
    hints: Option<Box<dyn Hints>>,
    inbox: Inbox,
    token: CancellationToken,
    delivery: Delivery<S>,
    folders: Folders,
    /// Device and inode of the roots when hints were last asked for; a difference means asking again.
    armed: Vec<Option<(u64, u64)>>,
    /// Whether hints were lost since the last full scan began.
    lost: bool,
    scans: Scans,
}

/// Where the full scans are.
struct Scans {
    done: u64,
    next: Instant,
    /// Files met by the last one.
    files: u64,
}

/// A walk in progress.
struct Walk {
    batches: mpsc::Receiver<Vec<Entry>>,
    /// Whether it is one over all roots.
    full: bool,
    started: Instant,
    files: u64,
}

impl<S: AlreadySeen> Driver<S> {
    pub(super) fn new(
        roots: Vec<PathBuf>,
        settings: WatchSettings,
        hints: Box<dyn Hints>,
        inbox: Inbox,
        delivery: Delivery<S>,
        token: CancellationToken,
    ) -> Self {
        Self {
            roots,
            ignore: Arc::new(Ignore::new(&settings.ignore)),
            settings,
            hints: Some(hints),
            inbox,
            token,
            delivery,
            folders: Folders::default(),
            armed: Vec::new(),
            lost: false,
            scans: Scans { done: 0, next: Instant::now(), files: 0 },
        }
    }

    pub(super) async fn run(mut self) {
        // It breaks when it is done or when nobody listens: both are its end.
        let _ = self.work().await;
        self.inbox.close();
    }

    async fn work(&mut self) -> Flow {
        self.choose_hints().await?;
        let mut full: Option<Walk> = None;
        let mut folder: Option<Walk> = None;
        loop {
            let single_scan_done = !self.settings.watch && self.scans.done > 0;
            if single_scan_done {
                self.end_single_scan().await?;
            } else if full.is_none() && Instant::now() >= self.scans.next {
                self.arm().await?;
                self.lost = false;
                full = Some(self.walk(self.roots.clone(), true));
            }
            if folder.is_none() {
                folder = self.folders.take().map(|path| self.walk(vec![path], false));
            }
            let room = self.delivery.settling.has_room();
            tokio::select! {
                () = self.token.cancelled() => return Break(()),
                waiting = self.inbox.take() => self.hinted(waiting).await?,
                batch = next(&mut full), if room => self.walked(&mut full, batch).await?,
                batch = next(&mut folder), if room => self.walked(&mut folder, batch).await?,
                () = until(self.delivery.settling.next_due()) => self.settle().await?,
                () = until(Some(self.scans.next)), if full.is_none() && !single_scan_done => {}
            }
        }
    }

    /// Decides whether there are hints at all.
    async fn choose_hints(&mut self) -> Flow {
        let shared = self.roots.iter().find_map(|root| filesystem::shared_kind(root).map(|kind| (root, kind)));
        if !self.settings.watch || self.settings.poll == Poll::Always {
            self.hints = None;
            self.delivery.settling.untold(self.settings.settle, shared.is_some());
        } else if let (Poll::Auto, Some((root, kind))) = (self.settings.poll, shared) {
            let why = format!("{} lies on {kind}, which does not tell what other machines change", root.display());
            self.degrade(NoHints(why)).await?;
        }
        Continue(())
    }

    /// Asks for hints about the roots where that was not done yet, where some were lost, or where a root is another.
    async fn arm(&mut self) -> Flow {
        let identity: Vec<_> = self.roots.iter().map(|root| identity(root)).collect();
        if identity == self.armed && !self.lost {
            return Continue(());
        }
        self.armed = identity;
        self.ask_for_hints(self.roots.clone()).await
    }

    async fn ask_for_hints(&mut self, roots: Vec<PathBuf>) -> Flow {
        let Some(mut hints) = self.hints.take() else { return Continue(()) };
        let inbox = self.inbox.clone();
        let asked = tokio::task::spawn_blocking(move || hints.watch(&roots, &inbox).map(|()| hints)).await;
        match asked {
            Ok(Ok(hints)) => {
                self.hints = Some(hints);
                Continue(())
            }
            Ok(Err(why)) => self.degrade(why).await,
            Err(_) => {
                self.degrade(NoHints("asking for change notices failed (a bug; please report it)".to_owned())).await
            }
        }
    }

    /// Goes on without hints.
    async fn degrade(&mut self, NoHints(why): NoHints) -> Flow {
        self.hints = None;
        let shared = self.roots.iter().any(|root| filesystem::shared_kind(root).is_some());
        self.delivery.settling.untold(self.settings.settle, shared);
        let pause = self.pause();
        self.scans.next = self.scans.next.min(Instant::now() + pause);
        let why = format!("{why}; the folders are walked every {} s instead", pause.as_secs_f64());
        self.delivery.send(Found::Degraded { why }).await
    }

    /// Pause between two full scans.
    fn pause(&self) -> Duration {
        if self.hints.is_none() && self.settings.poll != Poll::Never {
            self.settings.poll_every
        } else {
            self.settings.scan_every
        }
    }

    fn walk(&self, roots: Vec<PathBuf>, full: bool) -> Walk {
        let batches = scan::start(roots, Arc::clone(&self.ignore));
        Walk { batches, full, started: Instant::now(), files: 0 }
    }

    /// Takes in one batch of a walk, or its end.
    async fn walked(&mut self, walk: &mut Option<Walk>, batch: Option<Vec<Entry>>) -> Flow {
        let Some(current) = walk else { return Continue(()) };
        let Some(batch) = batch else {
            return match walk.take() {
                Some(ended) => self.walk_ended(ended).await,
                None => Continue(()),
            };
        };
        // Later scans meet the same links and pipes again: they are told once.
        let tell_skips = !current.full || self.scans.done == 0;
        current.files += batch.iter().filter(|entry| matches!(entry, Entry::File(_))).count() as u64;
        let entries = batch.into_iter().map(|entry| (entry, HintKind::Touched)).collect();
        self.delivery.take_in(entries, tell_skips).await?;
        Continue(())
    }

    async fn walk_ended(&mut self, walk: Walk) -> Flow {
        if !walk.full {
            return Continue(());
        }
        let now = Instant::now();
        self.scans = Scans { done: self.scans.done + 1, next: now + self.pause(), files: walk.files };
        if self.lost {
            self.scans.next = now + SCAN_PAUSE;
        } else if self.hints.is_none() {
            self.scans.next = now + self.pause().max(walk.started.elapsed() * POLL_REST);
        }
        if self.settings.watch {
            self.delivery.send(Found::ScanComplete { files: walk.files }).await
        } else {
            Continue(())
        }
    }

    /// After a single scan: waits for files that are not complete yet, though not for ever, and ends.
    async fn end_single_scan(&mut self) -> Flow {
        for path in self.delivery.settling.give_up(SINGLE_SCAN_PATIENCE) {
            self.delivery.send(Found::Skipped { path, why: Skip::StillWriting }).await?;
        }
        if self.delivery.settling.is_empty() {
            self.delivery.send(Found::ScanComplete { files: self.scans.files }).await?;
            return Break(());
        }
        Continue(())
    }

    /// Takes in what the inbox held.
    async fn hinted(&mut self, waiting: Waiting) -> Flow {
        if let Some(why) = waiting.gone {
            self.degrade(why).await?;
        }
        if waiting.lost {
            self.lost = true;
            self.scans.next = self.scans.next.min(Instant::now() + SCAN_PAUSE);
        }
        let mut looks = Vec::new();
        for (path, hint) in waiting.hints {
            if !self.is_wanted(&path) {
                continue;
            }
            match hint {
                HintKind::Writing => self.delivery.settling.writing(path),
                hint => looks.push((path, hint)),
            }
        }
        looks.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let folders = self.delivery.look(looks).await?;
        if !folders.is_empty() {
            self.ask_for_hints(folders.clone()).await?;
        }
        for folder in folders {
            if !self.folders.add(folder) {
                self.inbox.lost();
            }
        }
        Continue(())
    }

    /// Looks again at files that may be complete by now.
    async fn settle(&mut self) -> Flow {
        let due = self.delivery.settling.due().into_iter().map(|path| (path, HintKind::Touched)).collect();
        self.delivery.look(due).await?;
        Continue(())
    }

    /// Whether a path lies below a root, and no part of it is on the ignore list.
    fn is_wanted(&self, path: &Path) -> bool {
        let below = self.roots.iter().find_map(|root| path.strip_prefix(root).ok());
        below.is_some_and(|relative| !self.ignore.below(relative))
    }
}

/// The next batch of a walk; never, without one.
async fn next(walk: &mut Option<Walk>) -> Option<Vec<Entry>> {
    match walk {
        Some(walk) => walk.batches.recv().await,
        None => std::future::pending().await,
    }
}

/// Waits until then; for ever, without a time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn identity(root: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(root).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
