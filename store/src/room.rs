//! Room on the disk: new faces are refused while little is left, so that labels, rejects and repairs still fit.

use std::path::Path;

use crate::corpus::Corpus;
use crate::error::{Error, Result};

/// Files that must still fit: some file systems run out of those before they run out of bytes.
const RESERVE_FILES: u64 = 256;

impl Corpus {
    /// Whether there is room for new faces of so many bytes.
    ///
    /// # Errors
    /// [`Error::NoRoom`] where less than the configured reserve would be left.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        // An object store has no end that it would tell.
        if self.home().remote().is_some() {
            return Ok(());
        }
        check(self.path(), self.options().reserve_bytes, bytes)
    }
}

pub(crate) fn check(corpus: &Path, reserve: u64, bytes: u64) -> Result<()> {
    let space = rustix::fs::statvfs(corpus).map_err(|errno| Error::io(corpus)(errno.into()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    // A file system that does not count its files says that it has none.
    let few_files = space.f_files > 0 && space.f_favail < RESERVE_FILES;
    if reserve > 0 && (free < reserve.saturating_add(bytes) || few_files) {
        return Err(Error::NoRoom { path: corpus.to_owned(), free_mb: free >> 20, reserve_mb: reserve >> 20 });
    }
    Ok(())
}
