//! Archives as data sets: `.tar`, `.tar.gz` and `.zip`, streamed entry by entry, never unpacked to disk.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::read::MultiGzDecoder;

use crate::entries::{Entry, Found, LINK, OUTSIDE, SPECIAL, Visit, inner_path};
use crate::error::{Error, Result};
use crate::reject::{Reason, Reject};
use crate::source::{archive_source, os_string};

/// How an archive is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ArchiveKind {
    Tar,
    TarGz,
    Zip,
}

impl ArchiveKind {
    /// The kind by the first bytes of the file; `None` where it is no archive.
    pub(crate) fn of(path: &Path) -> Result<Option<Self>> {
        let mut head = Vec::with_capacity(512);
        let file = File::open(path).map_err(Error::io(path))?;
        file.take(512).read_to_end(&mut head).map_err(Error::io(path))?;
        Ok(if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            Some(Self::Zip)
        } else if head.starts_with(&[0x1F, 0x8B]) {
            Some(Self::TarGz)
        } else if head.get(257..262) == Some(b"ustar") || has_extension(path, "tar") {
            Some(Self::Tar)
        } else {
            None
        })
    }
}

pub(crate) fn visit(path: &Path, kind: ArchiveKind, visit: Visit<'_>) -> Result<()> {
    let file = BufReader::with_capacity(1 << 16, File::open(path).map_err(Error::io(path))?);
    match kind {
        ArchiveKind::Tar => visit_tar(path, file, visit),
        ArchiveKind::TarGz => visit_tar(path, BufReader::with_capacity(1 << 16, MultiGzDecoder::new(file)), visit),
        ArchiveKind::Zip => visit_zip(path, file, visit),
    }
}

fn visit_tar(archive: &Path, stream: impl Read, visit: Visit<'_>) -> Result<()> {
    let damaged = |source| Error::Archive { path: archive.to_owned(), source };
    let mut tar = tar::Archive::new(stream);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() {
            continue;
        }
        let path = PathBuf::from(os_string(entry.path_bytes().into_owned()));
        let skipped = |why| Found::Skipped { source: archive_source(archive, &path), why };
        let found = match inner_path(&path) {
            Err(why) => skipped(why),
            Ok(_) if kind.is_symlink() || kind.is_hard_link() => skipped(LINK),
            Ok(_) if !(kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse()) => skipped(SPECIAL),
            Ok(inner) => {
                let mtime =
                    entry.header().mtime().ok().map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
                let size = entry.size();
                Found::File(Entry::in_archive(archive, inner, &mut entry, size, mtime))
            }
        };
        if visit(found)? == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}

fn visit_zip(archive: &Path, file: BufReader<File>, visit: Visit<'_>) -> Result<()> {
    let damaged =
        |error: zip::result::ZipError| Error::Archive { path: archive.to_owned(), source: io::Error::other(error) };
    let mut zip = zip::ZipArchive::new(file).map_err(damaged)?;
    for i in 0..zip.len() {
        // Known from the directory alone, so that one entry that does not open costs only itself.
        let name = zip.name_for_index(i).and_then(|name| name.ok()).map(|name| name.into_owned());
        let mut entry = match zip.by_index(i) {
            Ok(entry) => entry,
            Err(error) => {
                let path = PathBuf::from(name.unwrap_or_else(|| format!("entry {i}")));
                let reason = Reason::Unreadable { detail: error.to_string() };
                let reject = Reject { source: archive_source(archive, &path), reason };
                match visit(Found::Reject(reject))? {
                    ControlFlow::Break(()) => break,
                    ControlFlow::Continue(()) => continue,
                }
            }
        };
        if entry.is_dir() {
            continue;
        }
        let path = match name {
            Some(name) => PathBuf::from(name.replace('\\', "/")),
            None => PathBuf::from(os_string(entry.name_raw().to_vec())),
        };
        let skipped = |why| Found::Skipped { source: archive_source(archive, &path), why };
        let found = match inner_path(&path) {
            Err(why) => skipped(why),
            Ok(_) if entry.is_symlink() => skipped(LINK),
            Ok(inner) if inner.as_os_str().is_empty() => skipped(OUTSIDE),
            Ok(inner) => {
                let size = entry.size();
                Found::File(Entry::in_archive(archive, inner, &mut entry, size, None))
            }
        };
        if visit(found)? == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}
