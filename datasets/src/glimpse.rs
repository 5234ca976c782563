//! A first look at a path: some of the names below it, enough to say which data set it is, however large that is.

use std::fs::{self, File};
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::candidate::{has_image_extension, skip_reason};
use crate::entries::{Entries, Found};
use crate::error::{Error, Result};
use crate::reading::stem;

/// How deep folders are looked into, and how many names of each.
const DEPTH: usize = 7;
const NAMES_A_FOLDER: usize = 60;
/// Names looked at in an archive, where they come as stored.
const NAMES_AN_ARCHIVE: usize = 50_000;
/// How much of a table is looked at for its header.
const HEAD: u64 = 4096;

/// Names of files at a path, and the beginning of any of them.
#[derive(Debug)]
pub struct Glimpse {
    root: PathBuf,
    /// Paths below the root; the root's own name where it is a file.
    names: Vec<PathBuf>,
    is_archive: bool,
}

impl Glimpse {
    /// Looks at a folder, an archive or a file.
    ///
    /// # Errors
    /// If nothing is there or it cannot be opened.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let glimpse = |names, is_archive| Self { root: path.to_owned(), names, is_archive };
        match Entries::open(path)? {
            Some(entries) if entries.is_folder() => Ok(glimpse(names_in_folder(path)?, false)),
            Some(entries) => Ok(glimpse(names_in_archive(&entries)?, true)),
            None => Ok(glimpse(path.file_name().map(PathBuf::from).into_iter().collect(), false)),
        }
    }

    /// Whether the path is a single file and no archive.
    pub fn is_file(&self) -> bool {
        !self.is_archive && !self.root.is_dir()
    }

    /// The first path that a test holds for.
    pub fn find(&self, test: impl Fn(&Path) -> bool) -> Option<&Path> {
        self.names.iter().map(PathBuf::as_path).find(|path| test(path))
    }

    /// The first path with this file name.
    pub fn named(&self, name: &str) -> Option<&Path> {
        self.find(|path| path.file_name().is_some_and(|known| known == name))
    }

    /// The first path that leads through this folder.
    pub fn folder(&self, name: &str) -> Option<&Path> {
        self.find(|path| path.parent().is_some_and(|folder| folder.iter().any(|part| part == name)))
    }

    /// The first image whose name without extension a test holds for.
    pub fn image(&self, test: impl Fn(&str) -> bool) -> Option<&Path> {
        self.find(|path| has_image_extension(path) && test(stem(path)))
    }

    /// Every image among the names.
    pub fn images(&self) -> impl Iterator<Item = &Path> {
        self.names.iter().map(PathBuf::as_path).filter(|path| has_image_extension(path))
    }

    /// The beginning of a file, as text; empty in archives, which do not open at any file.
    pub fn head(&self, path: &Path) -> String {
        let mut head = Vec::new();
        let full = if self.is_file() { self.root.clone() } else { self.root.join(path) };
        if !self.is_archive && fs::symlink_metadata(&full).is_ok_and(|metadata| metadata.is_file()) {
            // What cannot be read tells nothing.
            let _ = File::open(&full).map(|file| file.take(HEAD).read_to_end(&mut head));
        }
        String::from_utf8_lossy(&head).into_owned()
    }
}

/// The first names of every folder; those that are no images before the images, because lists and labels tell most.
fn names_in_folder(root: &Path) -> Result<Vec<PathBuf>> {
    let mut met = [0; DEPTH + 2];
    let walk = WalkDir::new(root).max_depth(DEPTH).sort_by(|a, b| {
        let key = |entry: &walkdir::DirEntry| (has_image_extension(entry.path()), entry.file_name().to_owned());
        key(a).cmp(&key(b))
    });
    let is_looked_at = |entry: &walkdir::DirEntry| {
        let depth = entry.depth();
        met[depth] += 1;
        met[depth + 1..].fill(0);
        depth == 0 || (met[depth] <= NAMES_A_FOLDER && skip_reason(entry.file_name()).is_none())
    };
    let mut names = Vec::new();
    for entry in walk.into_iter().filter_entry(is_looked_at) {
        match entry {
            Ok(entry) if entry.file_type().is_file() => {
                names.push(entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned());
            }
            Err(error) if error.depth() == 0 => return Err(Error::io(root)(error.into())),
            // A folder that does not open tells nothing.
            _ => {}
        }
    }
    Ok(names)
}

fn names_in_archive(entries: &Entries) -> Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    entries.visit(&mut |found| {
        if let Found::File(entry) = found {
            names.push(entry.path);
        }
        Ok(if names.len() < NAMES_AN_ARCHIVE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(names)
}
