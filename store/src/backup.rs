//! Backup and restore: a corpus at one vector of versions, copied file by file.
//!
//! In: a corpus and a folder. Out: in the folder, a corpus that opens by itself: the current version of every table, those
//! that rounds pin, checkpoints, settings, curriculum. Files of tables are written once, so what is there already is not
//! copied again, and what no version names any more goes: after `forget` the next backup has forgotten too. Data comes
//! before the manifests that name it, and `faces` before what names faces, so that a backup that was killed is still whole;
//! it is finished by the next one.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::columns::Timestamp;
use crate::corpus::{Corpus, Options};
use crate::error::{Error, Result};
use crate::lance_log::table_path;
use crate::locks::{Lock, Purpose};
use crate::pins;
use crate::round::{planned_rounds, write_whole};
use crate::session::SqlRuntime;
use crate::snapshot::{Snapshot, Versions};
use crate::table::TableId;
use crate::verify::VerifyOptions;
use crate::version_files::{VersionFiles, files, versions};

/// Says what a backup is; the last thing written, the first removed.
const RECORD: &str = "backup.json";

/// Tag of what is being copied.
const PIN: &str = "backup";

/// Of the corpus's folder, what a copy does without.
const LEFT_OUT: [&str; 4] = ["tables", "locks", "tmp", RECORD];

/// What a backup did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Where from.
    pub source: PathBuf,
    /// Version of every table.
    pub versions: Versions,
    /// Rounds that can be looked back at in it.
    pub rounds: Vec<u32>,
    /// Files copied, and their bytes.
    pub copied: u64,
    /// Bytes copied.
    pub bytes: u64,
    /// Files that were there already.
    pub kept: u64,
    /// Files that nothing names any more, removed.
    pub removed: u64,
    /// Faces whose images were hashed again in the copy.
    pub verified: u64,
}

impl Corpus {
    /// Copies the corpus as it is now into `to`: a folder that does not exist, is empty, or holds an earlier backup of it.
    ///
    /// # Errors
    /// [`Error::NotABackup`] for a folder that holds something else; [`Error::BackupDiffers`] where the copy does not verify.
    pub async fn backup(&self, to: &Path, sql: &SqlRuntime) -> Result<BackupReport> {
        let _lock = Lock::try_exclusive(self.path(), Purpose::Backup)?;
        make_ready(self.path(), to)?;
        let snapshot = self.snapshot().await?;
        self.pin(PIN, &snapshot.versions()).await?;
        let copied = self.copy(&snapshot, to).await;
        self.unpin(PIN).await?;
        let mut report = copied?;
        report.verified = verified(to, sql).await?;
        let record = serde_json::to_vec_pretty(&report)
            .map_err(|source| Error::Unreadable { what: "the record of the backup".into(), source })?;
        write_whole(&to.join(RECORD), &record)?;
        Ok(report)
    }

    async fn copy(&self, snapshot: &Snapshot, to: &Path) -> Result<BackupReport> {
        let mut report = BackupReport {
            taken_at: self.log().now(),
            source: self.path().to_owned(),
            versions: snapshot.versions(),
            rounds: pins::kept_rounds(snapshot.open(TableId::Rounds)?).await?,
            ..BackupReport::default()
        };
        let unfinished = planned_rounds(self.path(), snapshot.rounds())?;
        let mut wanted = Vec::new();
        for (table, version) in &report.versions {
            let pinned = self.pinned(snapshot, *table, &report.rounds).await?;
            wanted.push(Wanted::new(&table_path(self.path(), *table), *table, *version, pinned).await?);
        }
        for table in &wanted {
            table.copy_files(to, &mut report)?;
        }
        // Whoever names a face comes after the faces, `rounds`, which makes rows visible, last.
        wanted.sort_by_key(|wanted| match wanted.table {
            TableId::Faces => 0,
            TableId::Rounds => 2,
            _ => 1,
        });
        for table in &wanted {
            table.copy_manifests(to, &mut report)?;
        }
        for entry in std::fs::read_dir(self.path()).map_err(Error::io(self.path()))? {
            let name = entry.map_err(Error::io(self.path()))?.file_name();
            if !LEFT_OUT.iter().any(|left_out| name == **left_out) {
                mirror(&self.path().join(&name), &to.join(&name), unfinished, &mut report)?;
            }
        }
        Ok(report)
    }

    /// Pins of finished rounds, by version.
    async fn pinned(&self, snapshot: &Snapshot, table: TableId, rounds: &[u32]) -> Result<Vec<(String, u64)>> {
        let mut pinned = Vec::new();
        for round in rounds {
            let tag = pins::round_tag(*round);
            if let Some(version) = pins::version(snapshot.open(table)?, table, &tag).await? {
                pinned.push((tag, version));
            }
        }
        Ok(pinned)
    }
}

/// Makes a corpus in `to` (which must not exist, or be empty) out of a backup, and verifies it.
pub async fn restore(from: &Path, to: &Path, sql: &SqlRuntime) -> Result<BackupReport> {
    let record = from.join(RECORD);
    let text = std::fs::read(&record).map_err(|_| Error::NotABackup { path: from.to_owned() })?;
    let mut report: BackupReport = serde_json::from_slice(&text)
        .map_err(|source| Error::Unreadable { what: record.display().to_string(), source })?;
    if to.exists() && !is_empty(to)? {
        return Err(Error::NotEmpty { path: to.to_owned() });
    }
    (report.copied, report.bytes, report.kept, report.removed) = (0, 0, 0, 0);
    std::fs::create_dir_all(to).map_err(Error::io(to))?;
    for entry in std::fs::read_dir(from).map_err(Error::io(from))? {
        let name = entry.map_err(Error::io(from))?.file_name();
        if name != RECORD {
            mirror(&from.join(&name), &to.join(&name), None, &mut report)?;
        }
    }
    report.verified = verified(to, sql).await?;
    Ok(report)
}

/// Files of one table that the copy is to have.
struct Wanted {
    table: TableId,
    folder: PathBuf,
    files: BTreeSet<String>,
    manifests: BTreeSet<String>,
}

impl Wanted {
    async fn new(folder: &Path, table: TableId, version: u64, pinned: Vec<(String, u64)>) -> Result<Self> {
        let mut wanted = Self { table, folder: folder.to_owned(), files: BTreeSet::new(), manifests: BTreeSet::new() };
        wanted.files.extend(pinned.iter().map(|(tag, _)| format!("_refs/tags/{tag}.json")));
        let keep: BTreeSet<u64> = pinned.into_iter().map(|(_, version)| version).chain([version]).collect();
        let all = versions(folder).map_err(Error::io(folder))?;
        for (version, manifest) in all.into_iter().filter(|(version, _)| keep.contains(version)) {
            let files = VersionFiles::read(version, &manifest).await.map_err(Error::table(table))?;
            wanted.files.extend(files.names(folder).map_err(Error::io(folder))?.into_keys());
            let name = manifest.file_name().unwrap_or_default().to_string_lossy();
            wanted.manifests.insert(format!("_versions/{name}"));
        }
        Ok(wanted)
    }

    fn copy_files(&self, to: &Path, report: &mut BackupReport) -> Result<()> {
        let there = table_path(to, self.table);
        self.files.iter().try_for_each(|name| copy_file(&self.folder.join(name), &there.join(name), report))
    }

    /// Copies the manifests, then removes what none of them names.
    fn copy_manifests(&self, to: &Path, report: &mut BackupReport) -> Result<()> {
        let there = table_path(to, self.table);
        for name in &self.manifests {
            copy_file(&self.folder.join(name), &there.join(name), report)?;
        }
        remove_others(&there, &there, &|name| self.files.contains(name) || self.manifests.contains(name), report)
    }
}

/// A folder that may become a backup of this corpus.
fn make_ready(corpus: &Path, to: &Path) -> Result<()> {
    if to.starts_with(corpus) {
        return Err(Error::NotABackup { path: to.to_owned() });
    }
    std::fs::create_dir_all(to).map_err(Error::io(to))?;
    let record = to.join(RECORD);
    let unfinished = to.join(format!("{RECORD}.unfinished"));
    if record.exists() {
        std::fs::rename(&record, &unfinished).map_err(Error::io(&record))?;
    } else if !unfinished.exists() {
        if !is_empty(to)? {
            return Err(Error::NotABackup { path: to.to_owned() });
        }
        File::create(&unfinished).map_err(Error::io(&unfinished))?;
    }
    Ok(())
}

fn is_empty(folder: &Path) -> Result<bool> {
    Ok(std::fs::read_dir(folder).map_err(Error::io(folder))?.next().is_none())
}

/// Opens the copy and reads everything back.
async fn verified(copy: &Path, sql: &SqlRuntime) -> Result<u64> {
    let corpus = Corpus::open(copy, Options::default()).await?;
    let report = corpus.verify(sql, VerifyOptions::default(), &mut |_, _| {}).await?;
    match report.findings.first() {
        None => Ok(report.faces),
        Some(first) => Err(Error::BackupDiffers {
            path: copy.to_owned(),
            finding: format!("{} in {}: {}", first.code, first.table, first.detail),
        }),
    }
}

/// Copies a file or folder; of the rounds not the one under way, whose files change.
fn mirror(from: &Path, to: &Path, unfinished: Option<u32>, report: &mut BackupReport) -> Result<()> {
    if !from.is_dir() {
        return copy_file(from, to, report);
    }
    std::fs::create_dir_all(to).map_err(Error::io(to))?;
    let mut names = BTreeSet::new();
    for file in files(from).map_err(Error::io(from))? {
        let name = file.file_name().unwrap_or_default().to_owned();
        let is_unfinished = unfinished.is_some_and(|round| name == *format!("round-{round:05}"));
        if !is_unfinished {
            mirror(&file, &to.join(&name), unfinished, report)?;
            names.insert(name);
        }
    }
    for file in files(to).map_err(Error::io(to))? {
        if !names.contains(file.file_name().unwrap_or_default()) {
            let removed = if file.is_dir() { std::fs::remove_dir_all(&file) } else { std::fs::remove_file(&file) };
            removed.map_err(Error::io(&file))?;
            report.removed += 1;
        }
    }
    Ok(())
}

/// Copies one file whole, synced; one that is there with the same size and time is left.
fn copy_file(from: &Path, to: &Path, report: &mut BackupReport) -> Result<()> {
    let source = std::fs::metadata(from).map_err(Error::io(from))?;
    let modified = source.modified().map_err(Error::io(from))?;
    let same = |there: std::fs::Metadata| there.len() == source.len() && there.modified().is_ok_and(|m| m == modified);
    if std::fs::metadata(to).is_ok_and(same) {
        report.kept += 1;
        return Ok(());
    }
    let folder = to.parent().unwrap_or(to);
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    report.bytes += std::fs::copy(from, &part).map_err(Error::io(from))?;
    let finish = || {
        let file = File::options().write(true).open(&part)?;
        file.set_modified(modified)?;
        file.sync_all()?;
        std::fs::rename(&part, to)?;
        File::open(folder)?.sync_all()
    };
    finish().map_err(Error::io(to))?;
    report.copied += 1;
    Ok(())
}

fn remove_others(root: &Path, folder: &Path, keep: &dyn Fn(&str) -> bool, report: &mut BackupReport) -> Result<()> {
    for file in files(folder).map_err(Error::io(folder))? {
        if file.is_dir() {
            remove_others(root, &file, keep, report)?;
        } else if !file.strip_prefix(root).is_ok_and(|name| keep(&name.to_string_lossy())) {
            std::fs::remove_file(&file).map_err(Error::io(&file))?;
            report.removed += 1;
        }
    }
    Ok(())
}
