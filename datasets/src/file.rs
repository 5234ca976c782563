//! Reading one file without being led astray: no links, no pipes or devices, no more bytes than allowed, and a notice
//! if somebody was still writing.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::Path;
use std::time::SystemTime;

use crate::limits::Limits;
use crate::reject::Reason;

/// What a file held, and what the file system said about it before it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    pub bytes: Vec<u8>,
    pub size: u64,
    pub mtime: Option<SystemTime>,
    /// Inode number; `None` where there is none (archive entries, other systems than Unix).
    pub inode: Option<u64>,
}

/// Reads a regular file of at most `limits.max_file_bytes`.
///
/// # Errors
/// [`Reason::NotAFile`] for links, folders, pipes and devices (the last component only: the folders above it are the
/// caller's), [`Reason::TooManyBytes`] before reading, [`Reason::Changed`] if size or time moved meanwhile,
/// [`Reason::Unreadable`] for everything the system refuses.
pub fn read_file(path: &Path, limits: &Limits) -> Result<FileContent, Reason> {
    // Asked before opening: opening a pipe would wait for its writer.
    let seen = fs::symlink_metadata(path).map_err(|error| unreadable(&error))?;
    if !seen.is_file() {
        return Err(Reason::NotAFile);
    }
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let before = file.metadata().map_err(|error| unreadable(&error))?;
    if !before.is_file() || !same_file(&seen, &before) {
        return Err(Reason::Changed);
    }
    let bytes = read_capped(&file, before.len(), limits)?;
    let after = file.metadata().map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 != before.len()
        || after.len() != before.len()
        || after.modified().ok() != before.modified().ok()
    {
        return Err(Reason::Changed);
    }
    Ok(FileContent { size: before.len(), mtime: before.modified().ok(), inode: inode(&before), bytes })
}

/// Reads to the end, refusing more bytes than the limit, whatever `claimed` says.
pub(crate) fn read_capped(mut content: impl Read, claimed: u64, limits: &Limits) -> Result<Vec<u8>, Reason> {
    let limit = limits.max_file_bytes;
    if claimed > limit {
        return Err(Reason::TooManyBytes { bytes: claimed, limit });
    }
    let mut bytes = Vec::with_capacity(claimed as usize + 1);
    content.by_ref().take(limit + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > limit {
        return Err(Reason::TooManyBytes { bytes: bytes.len() as u64, limit });
    }
    Ok(bytes)
}

pub(crate) fn unreadable(error: &io::Error) -> Reason {
    let detail = match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    Reason::Unreadable { detail }
}

#[cfg(unix)]
pub(crate) fn inode(metadata: &Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::ino(metadata))
}

#[cfg(not(unix))]
pub(crate) fn inode(_: &Metadata) -> Option<u64> {
    None
}

/// Whether what was opened is what was looked at: a link may have taken its place in between.
#[cfg(unix)]
fn same_file(seen: &Metadata, opened: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (seen.dev(), seen.ino()) == (opened.dev(), opened.ino())
}

#[cfg(not(unix))]
fn same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}
