//! Repair at open: a table whose newest version is not whole falls back to the newest that is.
//!
//! In: a table's folder. Out: which manifests were set aside. With `durability = "commit"` a version is whole before it has
//! a name, so there is nothing to do here; but a corpus may have been written with `durability = "os"`, copied while it was
//! written, or lie on a disk that lies. What a power cut leaves then is a manifest that is empty, short or zero (Lance opens
//! the last as an empty table, without a word), or a whole one that names files which are not. Such a manifest gets the
//! ending `.broken`, which Lance does not see; nothing is deleted. A version that a round pins is never passed by.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::locks::{Lock, Purpose};
use crate::table::{SCHEMA_VERSION_KEY, TableId};
use crate::version_files::{LANCE_END, VersionFiles, check_whole, ends_with, files, versions};

/// Ending of a manifest or tag that was set aside.
const BROKEN: &str = "broken";

/// How far repair may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Down to the newest version that a round pins.
    AbovePins,
    /// Past it, when a person has asked for it: the rounds that pinned what is broken cannot be looked back at any more.
    PastPins,
}

/// A file that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SetAside {
    /// Its table.
    pub table: TableId,
    /// Where it lies now.
    pub file: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// Sets aside what is broken at the head of every table.
///
/// # Errors
/// [`Error::PinnedVersionBroken`] where that would pass by a version that a round pins; [`Error::TableLost`] where no
/// version is whole.
pub(crate) async fn repair(corpus: &Path, depth: Depth) -> Result<Vec<SetAside>> {
    let mut all = Vec::new();
    for table in TableId::ALL {
        let folder = corpus.join("tables").join(format!("{}.lance", table.name()));
        // Not there: a corpus of an older build, or none; opening says so.
        if !folder.exists() {
            continue;
        }
        if head_is_whole(&folder).await? && tags(&folder)?.iter().all(|tag| tag.version.is_some()) {
            continue;
        }
        let _alone = Lock::exclusive_async(corpus, Purpose::Writers).await?;
        let found = repair_table(*table, &folder, depth).await?;
        for set_aside in &found {
            tracing::error!("table {table}: {} was set aside: {}", set_aside.file.display(), set_aside.reason);
        }
        all.extend(found);
    }
    Ok(all)
}

/// Whether a table of ours was ever committed in this folder.
pub(crate) fn has_versions(folder: &Path) -> bool {
    versions(folder).is_ok_and(|versions| !versions.is_empty())
}

/// Files of a table that repair has set aside, now or ever.
pub(crate) fn set_aside(table: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in [table.join("_versions"), tags_folder(table)] {
        let files = files(&folder).map_err(Error::io(&folder))?;
        found.extend(files.into_iter().filter(|file| file.extension().is_some_and(|e| e == BROKEN)));
    }
    found.sort();
    Ok(found)
}

async fn head_is_whole(folder: &Path) -> Result<bool> {
    match versions(folder).map_err(Error::io(folder))?.first() {
        Some((version, manifest)) => Ok(fault(folder, *version, manifest).await.is_none()),
        None => Ok(false),
    }
}

async fn repair_table(table: TableId, folder: &Path, depth: Depth) -> Result<Vec<SetAside>> {
    let mut found = Vec::new();
    let mut pinned: Option<Tag> = None;
    for tag in tags(folder)? {
        match tag.version {
            None => found.push(put_aside(table, &tag.file, "it is no tag any more")?),
            Some(version) if pinned.as_ref().is_none_or(|newest| newest.version < Some(version)) => pinned = Some(tag),
            Some(_) => {}
        }
    }
    for (version, manifest) in versions(folder).map_err(Error::io(folder))? {
        let Some(reason) = fault(folder, version, &manifest).await else { return Ok(found) };
        if let Some(tag) = pinned.as_ref().filter(|tag| tag.version >= Some(version))
            && depth == Depth::AbovePins
        {
            return Err(Error::PinnedVersionBroken { table, version, tag: tag.name(), reason });
        }
        found.push(put_aside(table, &manifest, reason)?);
    }
    Err(Error::TableLost { table, path: folder.join("_versions") })
}

fn put_aside(table: TableId, file: &Path, reason: impl Into<String>) -> Result<SetAside> {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(BROKEN);
    let aside = PathBuf::from(name);
    std::fs::rename(file, &aside).map_err(Error::io(file))?;
    if let Some(folder) = file.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder))?;
    }
    Ok(SetAside { table, file: aside, reason: reason.into() })
}

/// A tag file and the version it names; none where it does not read.
struct Tag {
    file: PathBuf,
    version: Option<u64>,
}

#[derive(Deserialize)]
struct TagContents {
    version: u64,
}

impl Tag {
    fn name(&self) -> String {
        self.file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn tags_folder(folder: &Path) -> PathBuf {
    folder.join("_refs").join("tags")
}

fn tags(folder: &Path) -> Result<Vec<Tag>> {
    let mut found = Vec::new();
    let folder = tags_folder(folder);
    let files = files(&folder).map_err(Error::io(&folder))?;
    for file in files.into_iter().filter(|file| file.extension().is_some_and(|e| e == "json")) {
        let text = std::fs::read(&file).map_err(Error::io(&file))?;
        let version = serde_json::from_slice::<TagContents>(&text).ok().map(|contents| contents.version);
        found.push(Tag { file, version });
    }
    Ok(found)
}

/// What is wrong with a version; none where it is whole.
async fn fault(folder: &Path, version: u64, manifest: &Path) -> Option<String> {
    let (folder, file) = (folder.to_owned(), manifest.to_owned());
    // Bytes that were never meant to be read may panic inside Lance; in a task of its own that is a fault like others.
    match tokio::spawn(async move { look(&folder, version, &file).await }).await {
        Ok(Ok(())) => None,
        Ok(Err(reason)) => Some(reason),
        Err(panic) => Some(format!("it does not read ({panic})")),
    }
}

async fn look(folder: &Path, version: u64, file: &Path) -> std::result::Result<(), String> {
    ends_with(file, LANCE_END, None).map_err(|reason| format!("the manifest {reason}"))?;
    let VersionFiles { manifest, indices } =
        VersionFiles::read(version, file).await.map_err(|e| format!("the manifest does not read ({e})"))?;
    if manifest.version != version {
        return Err(format!("the manifest says version {}, its name {version}", manifest.version));
    }
    if !manifest.schema.metadata.contains_key(SCHEMA_VERSION_KEY) {
        return Err("the manifest has no schema of ours".to_owned());
    }
    let files = VersionFiles { manifest, indices };
    let names = files.names(folder).map_err(|e| format!("a folder that it names does not open ({e})"))?;
    names.iter().try_for_each(|(name, size)| check_whole(folder, name, *size))
}
