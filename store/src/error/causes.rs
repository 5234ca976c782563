//! What an error means for whoever meets it, and how the errors of others become ours.

use std::path::PathBuf;

use super::Error;
use crate::commit::SyncFailed;
use crate::table::TableId;

impl Error {
    /// Whether this process must write no more: a sync failed, and what the disk has is unknown until the next start.
    pub fn stops_writing(&self) -> bool {
        match self {
            Self::Sync { .. } | Self::WriterStopped(_) => true,
            Self::Commit { source, .. } => source.stops_writing(),
            _ => false,
        }
    }

    /// Whether another process or machine has the role that was asked for.
    pub fn is_locked(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::Leased { .. })
    }

    /// Whether there is no room: the same will work once there is.
    pub fn is_out_of_room(&self) -> bool {
        match self {
            Self::NoRoom { .. } | Self::DiskFull { .. } => true,
            Self::Commit { source, .. } => source.is_out_of_room(),
            _ => false,
        }
    }

    /// Names the file an I/O error belongs to.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }

    /// Names the table a Lance error belongs to, and tells a failed sync and a full disk from the rest.
    pub(crate) fn table(table: TableId) -> impl FnOnce(lance::Error) -> Self {
        move |source| {
            if let Some(failed) = in_chain::<SyncFailed>(&source) {
                // The kernel's own error cannot be moved out of Lance's; its kind and words are kept.
                let cause = std::io::Error::new(failed.source.kind(), failed.source.to_string());
                return Self::Sync { path: failed.path.clone(), source: cause };
            }
            if in_chain::<std::io::Error>(&source).is_some_and(is_full) {
                return Self::DiskFull { table, detail: source.to_string() };
            }
            Self::Table { table, source: Box::new(source) }
        }
    }
}

pub(super) fn list(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The first error of this type among the causes of `error`.
fn in_chain<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// No space, no quota or no inode left.
fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
