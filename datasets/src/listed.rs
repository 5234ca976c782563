//! Images that a table lists, read from the folder that the table belongs to.

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::file::{FileContent, read_file, unreadable};
use crate::limits::Limits;
use crate::reject::Reason;
use crate::source::encode_path;
use crate::table::Row;

/// A folder whose images are listed in a table. No row reaches a file outside it.
#[derive(Debug)]
pub(crate) struct ListedFolder {
    folder: PathBuf,
    /// The folder with every link resolved, to compare with.
    canonical: PathBuf,
}

impl ListedFolder {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let canonical = fs::canonicalize(folder).map_err(Error::io(folder))?;
        Ok(Self { folder: folder.to_owned(), canonical })
    }

    /// The source of a row's image.
    pub(crate) fn source(&self, row: &Row) -> String {
        encode_path(&self.folder.join(&row.path))
    }

    /// Whether a row's image lies there.
    pub(crate) fn holds(&self, row: &Row) -> bool {
        self.place_of(row).is_ok_and(|path| path.is_file())
    }

    /// Reads a row's image.
    pub(crate) fn read(&self, row: &Row, limits: &Limits) -> std::result::Result<FileContent, Reason> {
        read_file(&self.place_of(row)?, limits)
    }

    /// Where a row's image lies. Links within the folder are fine, links and `..` out of it are not.
    fn place_of(&self, row: &Row) -> std::result::Result<PathBuf, Reason> {
        if leaves(&row.path) {
            return Err(Reason::OutsideFolder);
        }
        let path = fs::canonicalize(self.folder.join(&row.path)).map_err(|error| unreadable(&error))?;
        match path.starts_with(&self.canonical) {
            true => Ok(path),
            false => Err(Reason::OutsideFolder),
        }
    }
}

/// Whether a relative path climbs above its start by its words alone.
fn leaves(path: &Path) -> bool {
    let mut depth = 0i64;
    for component in path.components() {
        match component {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            // An absolute path is judged by where it leads.
            Component::RootDir | Component::Prefix(_) => return false,
            Component::CurDir => {}
        }
        if depth < 0 {
            return true;
        }
    }
    false
}
