//! Hints from the system's change notices. Nothing else in the program speaks to `notify`.
//!
//! The handler runs on notify's own thread and must be quick, or the kernel's queue overflows: it only marks paths in
//! the inbox.

use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::watch::hints::{HintKind, Hints, Inbox, NoHints};

/// Whether the system says that a writer has closed a file. Where it does not, stillness has to do.
const SAYS_CLOSED: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The system's change notices; asks for them when watching begins.
#[derive(Default)]
pub(super) struct Notices {
    watcher: Option<RecommendedWatcher>,
}

impl Hints for Notices {
    fn watch(&mut self, roots: &[PathBuf], inbox: &Inbox) -> Result<(), NoHints> {
        let mut watcher = match self.watcher.take() {
            Some(watcher) => watcher,
            None => start(inbox.clone()).map_err(|error| explain(&error))?,
        };
        for root in roots {
            let (path, mode) = if root.is_file() {
                // A file that is replaced would lose a watch of its own; its folder keeps it.
                (root.parent().unwrap_or(root), RecursiveMode::NonRecursive)
            } else {
                (root.as_path(), RecursiveMode::Recursive)
            };
            match watcher.watch(path, mode) {
                // A root that is gone for the moment: the scan says so, and finds it when it is back.
                Err(error) if is_missing(&error, path) => {}
                watched => watched.map_err(|error| explain(&error))?,
            }
        }
        self.watcher = Some(watcher);
        Ok(())
    }
}

fn start(inbox: Inbox) -> notify::Result<RecommendedWatcher> {
    // The last old name seen, with its cookie: the new name follows with the same one.
    let mut renaming: Option<(usize, PathBuf)> = None;
    let handler = move |notice: notify::Result<Event>| match notice {
        Ok(event) => hand_over(event, &mut renaming, &inbox),
        Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => inbox.gone(explain(&error)),
        Err(_) => inbox.lost(),
    };
    RecommendedWatcher::new(handler, Config::default().with_follow_symlinks(false))
}

fn hand_over(event: Event, renaming: &mut Option<(usize, PathBuf)>, inbox: &Inbox) {
    // An overflow comes without paths.
    if event.need_rescan() {
        return inbox.lost();
    }
    let cookie = event.attrs.tracker();
    let kind = match event.kind {
        EventKind::Create(CreateKind::Any | CreateKind::File | CreateKind::Folder | CreateKind::Other) => {
            HintKind::Touched
        }
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => HintKind::Complete,
        EventKind::Access(_) => return,
        EventKind::Modify(ModifyKind::Data(_)) if SAYS_CLOSED => HintKind::Writing,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
            *renaming = cookie.zip(event.paths.into_iter().next());
            return;
        }
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => match renaming.take() {
            Some((from_cookie, from)) if Some(from_cookie) == cookie => {
                event.paths.into_iter().for_each(|to| inbox.renamed(&from, to));
                return;
            }
            _ => HintKind::Complete,
        },
        // Says what From and To have said.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) if SAYS_CLOSED => return,
        EventKind::Modify(_) | EventKind::Any | EventKind::Other => HintKind::Touched,
        // What is gone is no input; a root that comes back is found by the next scan.
        EventKind::Remove(RemoveKind::Any | RemoveKind::File | RemoveKind::Folder | RemoveKind::Other) => return,
    };
    event.paths.into_iter().for_each(|path| inbox.hint(path, kind));
}

fn is_missing(error: &notify::Error, path: &Path) -> bool {
    matches!(error.kind, ErrorKind::PathNotFound) || !path.exists()
}

fn explain(error: &notify::Error) -> NoHints {
    NoHints(match &error.kind {
        ErrorKind::MaxFilesWatch => {
            "the system watches no more folders; raise fs.inotify.max_user_watches to get change notices".to_owned()
        }
        ErrorKind::Io(error) => format!("the system gives no change notices ({error})"),
        _ => format!("the system gives no change notices ({error})"),
    })
}
