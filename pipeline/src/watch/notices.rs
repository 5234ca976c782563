//! Hints from the system's change notices. Nothing else in the program speaks to `notify`.
//!
//! The handler runs on notify's own thread and must be quick, or the kernel's queue overflows: it only marks paths in
//! the inbox.

use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use walkdir::{DirEntry, WalkDir};

use crate::watch::hints::{HintKind, Hints, Inbox, NoHints};
use crate::watch::ignore::Ignore;

/// Whether the system says that a writer has closed a file. Where it does not, stillness has to do.
const SAYS_CLOSED: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// The system's change notices, asked for folder by folder.
///
/// notify can watch whole trees, but gives up on a tree at the first folder it may not read, and watches a new folder only
/// some time after it told of it. So each folder is asked for here, and the driver asks for a new one before it walks it.
pub(super) struct Notices {
    ignore: Ignore,
    watcher: Option<RecommendedWatcher>,
}

impl Notices {
    /// Folders with a name on the list are not watched.
    pub(super) fn new(ignore: Ignore) -> Self {
        Self { ignore, watcher: None }
    }
}

impl Hints for Notices {
    fn watch(&mut self, roots: &[PathBuf], inbox: &Inbox) -> Result<(), NoHints> {
        let mut watcher = match self.watcher.take() {
            Some(watcher) => watcher,
            None => start(inbox.clone()).map_err(|error| explain(&error))?,
        };
        for root in roots {
            // A file that is replaced would lose a watch of its own; its folder keeps it.
            let file = root.is_file();
            let top = if file { root.parent().unwrap_or(root) } else { root };
            let depth = if file { 0 } else { usize::MAX };
            let wanted = |entry: &DirEntry| {
                entry.file_type().is_dir() && (entry.depth() == 0 || !self.ignore.name(entry.file_name()))
            };
            // Entries that cannot be listed are not watched; the scan tells of them.
            for folder in WalkDir::new(top).max_depth(depth).into_iter().filter_entry(wanted).flatten() {
                // Unsorted, the walk lists a folder after it was handed out here: what appears in it from now on is told.
                match watcher.watch(folder.path(), RecursiveMode::NonRecursive) {
                    Err(error) if is_unwatchable(&error, folder.path()) => {}
                    watched => watched.map_err(|error| explain(&error))?,
                }
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

/// Whether a folder cannot be watched for reasons of its own: it is gone, or it may not be read. The scan tells of it, and a
/// change of its rights is told by the folder above.
fn is_unwatchable(error: &notify::Error, path: &Path) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => true,
        _ => !path.exists(),
    }
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
