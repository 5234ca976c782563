//! Files that get their name when they are whole.
//!
//! In: bytes as they come. Out: a synced file. Until then it lies under another name, and what bears its own stays as
//! it was; where the writing fails nothing is left of it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};

/// A file that is being written.
pub(crate) struct PartFile {
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<File>,
    is_whole: bool,
}

impl PartFile {
    /// Begins one, in place of what an earlier try left.
    pub fn create(path: PathBuf) -> Result<Self> {
        let mut temporary = path.clone().into_os_string();
        temporary.push(".part");
        let temporary = PathBuf::from(temporary);
        let out = BufWriter::new(File::create(&temporary).map_err(Error::io(&temporary))?);
        Ok(Self { path, temporary, out, is_whole: false })
    }

    /// Adds bytes.
    pub fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::io(&self.temporary))
    }

    /// Gives it its name.
    pub fn close(mut self) -> Result<()> {
        self.out.flush().map_err(Error::io(&self.temporary))?;
        self.out.get_ref().sync_all().map_err(Error::io(&self.temporary))?;
        std::fs::rename(&self.temporary, &self.path).map_err(Error::io(&self.path))?;
        self.is_whole = true;
        Ok(())
    }
}

impl Write for PartFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.is_whole {
            // One that cannot be removed is replaced by the next try.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}
