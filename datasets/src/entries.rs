//! The files of a data set, one after the other in an order that is always the same, wherever they lie: in a folder
//! (sorted by name, level by level) or in an archive (as stored; see [`archive`](crate::archive)).
//!
//! Links are never followed and no path leads out of the root; what is passed over is reported with its reason.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use walkdir::WalkDir;

use crate::archive::{self, ArchiveKind};
use crate::candidate::skip_reason;
use crate::error::{Error, Result};
use crate::file::{FileContent, read_capped, read_file, unreadable};
use crate::limits::Limits;
use crate::reject::{Reason, Reject};
use crate::source::{archive_source, encode_path};

/// A folder or an archive, opened for reading.
#[derive(Debug, Clone)]
pub struct Entries {
    root: PathBuf,
    /// `None`: a folder.
    archive: Option<ArchiveKind>,
}

/// What a visit meets.
pub enum Found<'a> {
    File(Entry<'a>),
    Skipped { source: String, why: &'static str },
    Reject(Reject),
}

/// One file, its content not read yet.
pub struct Entry<'a> {
    /// Path below the root.
    pub path: PathBuf,
    /// Encoded path as a whole, `archive.tar!/inner/path` inside an archive.
    pub source: String,
    content: Content<'a>,
}

enum Content<'a> {
    File(PathBuf),
    Stream { stream: &'a mut dyn Read, size: u64, mtime: Option<SystemTime> },
}

/// How a visit goes on after an entry, or fails as a whole.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(Found<'_>) -> Result<ControlFlow<()>>;

impl Entries {
    /// Opens a folder, `.tar`, `.tar.gz` or `.zip`; `None` for any other file. Archives are known by content.
    ///
    /// # Errors
    /// If nothing is there or it cannot be opened.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let metadata = fs::metadata(path).map_err(Error::io(path))?;
        if metadata.is_dir() {
            return Ok(Some(Self { root: path.to_owned(), archive: None }));
        }
        if !metadata.is_file() {
            return Ok(None);
        }
        let kind = ArchiveKind::of(path)?;
        Ok(kind.map(|kind| Self { root: path.to_owned(), archive: Some(kind) }))
    }

    /// The folder or archive itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this is a folder, whose files can be opened in any order.
    pub fn is_folder(&self) -> bool {
        self.archive.is_none()
    }

    /// Visits every file until the visitor breaks or fails.
    ///
    /// # Errors
    /// The visitor's own, a root that cannot be read, and a damaged archive (after the entries before the damage).
    pub fn visit(&self, visit: Visit<'_>) -> Result<()> {
        match self.archive {
            None => self.visit_folder(visit),
            Some(kind) => archive::visit(&self.root, kind, visit),
        }
    }

    /// The contents of the files that `is_wanted` holds for: the lists of a data set, which are small beside its images.
    ///
    /// # Errors
    /// Those of a visit, and a wanted file that cannot be read or is larger than `limits` allow.
    pub(crate) fn contents(
        &self,
        is_wanted: impl Fn(&Path) -> bool,
        limits: &Limits,
    ) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut contents = Vec::new();
        self.visit(&mut |found| {
            if let Found::File(entry) = found
                && is_wanted(&entry.path)
            {
                let path = entry.path.clone();
                let content = entry.read(limits);
                let content = content.map_err(|reason| Error::Unreadable { path: self.root.join(&path), reason })?;
                contents.push((path, content.bytes));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(contents)
    }

    fn visit_folder(&self, visit: Visit<'_>) -> Result<()> {
        let mut walk = WalkDir::new(&self.root).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            let found = match entry {
                Ok(entry) if entry.depth() == 0 => continue,
                Ok(entry) => {
                    let kind = entry.file_type();
                    let source = || encode_path(entry.path());
                    if let Some(why) = skip_reason(entry.file_name()) {
                        if kind.is_dir() {
                            walk.skip_current_dir();
                        }
                        Found::Skipped { source: source(), why }
                    } else if kind.is_dir() {
                        continue;
                    } else if kind.is_symlink() {
                        Found::Skipped { source: source(), why: LINK }
                    } else if !kind.is_file() {
                        Found::Skipped { source: source(), why: SPECIAL }
                    } else {
                        let path = entry.path().strip_prefix(&self.root).unwrap_or(entry.path()).to_owned();
                        Found::File(Entry { path, source: source(), content: Content::File(entry.into_path()) })
                    }
                }
                Err(error) if error.depth() == 0 => {
                    return Err(Error::io(&self.root)(error.into()));
                }
                Err(error) => {
                    let source = encode_path(error.path().unwrap_or(&self.root));
                    let detail = error.io_error().map_or_else(|| error.to_string(), reason_text);
                    Found::Reject(Reject { source, reason: Reason::Unreadable { detail } })
                }
            };
            if visit(found)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl<'a> Entry<'a> {
    pub(crate) fn in_archive(
        archive: &Path,
        path: PathBuf,
        stream: &'a mut dyn Read,
        size: u64,
        mtime: Option<SystemTime>,
    ) -> Self {
        let source = archive_source(archive, &path);
        Self { path, source, content: Content::Stream { stream, size, mtime } }
    }

    /// Reads the content, at most `limits.max_file_bytes`.
    ///
    /// # Errors
    /// As [`read_file`].
    pub fn read(self, limits: &Limits) -> std::result::Result<FileContent, Reason> {
        match self.content {
            Content::File(path) => read_file(&path, limits),
            Content::Stream { stream, size, mtime } => {
                let bytes = read_capped(stream, size, limits)?;
                if bytes.len() as u64 != size {
                    return Err(Reason::Unreadable { detail: "the archive entry ends early".to_owned() });
                }
                Ok(FileContent { bytes, size, mtime, inode: None })
            }
        }
    }

    /// The content as a stream, for tables that are larger than any image may be.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn stream(self) -> std::result::Result<(Box<dyn Read + 'a>, FileFacts), Reason> {
        match self.content {
            Content::File(path) => {
                let file = File::open(&path).map_err(|error| unreadable(&error))?;
                let facts = FileFacts::of(&file).map_err(|error| unreadable(&error))?;
                Ok((Box::new(BufReader::new(file)), facts))
            }
            Content::Stream { stream, size, mtime } => Ok((Box::new(stream), FileFacts { size, mtime, inode: None })),
        }
    }
}

/// Size, time and inode of the file that records come from.
#[derive(Debug, Clone, Copy)]
pub struct FileFacts {
    pub size: u64,
    pub mtime: Option<SystemTime>,
    pub inode: Option<u64>,
}

impl FileFacts {
    pub(crate) fn of(file: &File) -> std::io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { size: metadata.len(), mtime: metadata.modified().ok(), inode: crate::file::inode(&metadata) })
    }
}

pub(crate) const LINK: &str = "links are not followed";
pub(crate) const SPECIAL: &str = "not a regular file";
pub(crate) const OUTSIDE: &str = "the path leads out of the archive";

/// The path of an archive entry below the archive's root, or why it has none.
pub(crate) fn inner_path(path: &Path) -> std::result::Result<PathBuf, &'static str> {
    let mut inner = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => match skip_reason(name) {
                Some(why) => return Err(why),
                None => inner.push(name),
            },
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(OUTSIDE),
        }
    }
    Ok(inner)
}

fn reason_text(error: &std::io::Error) -> String {
    match unreadable(error) {
        Reason::Unreadable { detail } => detail,
        other => other.to_string(),
    }
}
