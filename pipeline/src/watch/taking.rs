//! Reading a file that was found: whole and unchanged, or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::watch::FileKey;
use crate::watch::scan::{is_gone, state};

/// What became of reading a file.
#[derive(Debug)]
pub enum Taken {
    /// Its bytes, which were the same before and after.
    Whole(Vec<u8>),
    /// It is larger than allowed, and was not read to its end.
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// It is not what was found, or changed while it was read: ask the watcher to look [`Again`](crate::watch::Again).
    Changed,
    /// It is gone, or no file any more.
    Gone,
    /// It cannot be read.
    Unreadable(io::Error),
}

/// Reads the file of `key`, at most `max_bytes` of it, and makes sure that it did not change meanwhile. Blocks.
pub fn take(key: &FileKey, max_bytes: u64) -> Taken {
    let mut file = match open(&key.path) {
        Ok(file) => file,
        Err(error) if is_gone(&error) || is_link(&error) => return Taken::Gone,
        Err(error) => return Taken::Unreadable(error),
    };
    match read(&mut file, key, max_bytes) {
        Ok(taken) => taken,
        Err(error) => Taken::Unreadable(error),
    }
}

/// Opens a file for reading without following a link, and without waiting for the writer of a pipe.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
}

fn read(file: &mut File, key: &FileKey, max_bytes: u64) -> io::Result<Taken> {
    let before = file.metadata()?;
    if !before.is_file() {
        return Ok(Taken::Gone);
    }
    let before = state(PathBuf::new(), &before);
    if (before.key.size, before.key.mtime, before.key.inode) != (key.size, key.mtime, key.inode) {
        return Ok(Taken::Changed);
    }
    if key.size > max_bytes {
        return Ok(Taken::TooLarge { bytes: key.size });
    }
    let mut bytes = Vec::with_capacity(key.size as usize + 1);
    // One byte more than there should be: a file that grew is noticed without reading all of it.
    file.take(key.size + 1).read_to_end(&mut bytes)?;
    let after = state(PathBuf::new(), &file.metadata()?);
    let unchanged = after.key == before.key && after.ctime_ns == before.ctime_ns;
    Ok(if unchanged && bytes.len() as u64 == key.size { Taken::Whole(bytes) } else { Taken::Changed })
}

fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}
