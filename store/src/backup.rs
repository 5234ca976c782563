//! Backup and restore: a corpus at one vector of versions, copied file by file.
//!
//! In: a corpus and a folder or URI. Out: there, a corpus that opens by itself: the current version of every table, those
//! that rounds pin, checkpoints, settings, curriculum. Files of tables are written once, so what is there already is not
//! copied again, and what no version names any more goes: after `forget` the next backup has forgotten too. Data comes
//! before the manifests that name it, and `faces` before what names faces, so that a backup that was killed is still whole;
//! it is finished by the next one.

use std::collections::BTreeSet;
use std::path::Path;

use lance::index::DatasetIndexExt;
use serde::{Deserialize, Serialize};

use crate::columns::Timestamp;
use crate::corpus::{Corpus, Options};
use crate::error::{Error, Result};
use crate::locks::{Lock, Purpose};
use crate::objects::{Objects, scheme};
use crate::pins;
use crate::round::STOPPED;
use crate::session::SqlRuntime;
use crate::snapshot::{Snapshot, Versions};
use crate::table::TableId;
use crate::verify::VerifyOptions;
use crate::version_files::VersionFiles;

/// Says what a backup is; the last thing written, the first removed.
const RECORD: &str = "backup.json";

/// Says whose backup it is going to be, as long as it is not finished.
const UNFINISHED: &str = "backup.json.unfinished";

/// Tag of what is being copied.
const PIN: &str = "backup";

/// Of the corpus's folder, what a copy does without; `tables` are chosen one by one.
const LEFT_OUT: [&str; 4] = ["tables/", "locks/", "tmp/", STOPPED];

/// Bytes up to which two files are compared instead of their sizes and times.
const COMPARED: u64 = 1 << 16;

/// What a backup did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// When it was taken.
    pub taken_at: Timestamp,
    /// Where from.
    pub source: String,
    /// Of which corpus.
    #[serde(default)]
    pub corpus: String,
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
    /// Copies the corpus to `to`: a folder or URI that is new, empty, or holds an earlier backup of this corpus. The copy is
    /// then read back.
    ///
    /// # Errors
    /// [`Error::NotABackup`] where something else is there; [`Error::BackupDiffers`] where the copy does not verify, with
    /// the first finding; [`Error::Locked`] while another backup runs.
    pub async fn backup(&self, to: &Path, sql: &SqlRuntime) -> Result<BackupReport> {
        let lock = Lock::take(self.home(), Purpose::Backup).await?;
        let here = self.objects().await?;
        refuse_inside(&here, to)?;
        let there = Objects::at(to).await?;
        let corpus = self.identity().await?;
        make_ready(&there, to, &corpus, &self.home().place()).await?;
        let snapshot = self.snapshot().await?;
        self.pin(PIN, &snapshot.versions()).await?;
        let mut copy = Copy { from: here, to: there, report: BackupReport { corpus, ..BackupReport::default() } };
        let copied = self.copy(&snapshot, &mut copy).await;
        self.unpin(PIN).await?;
        copied?;
        let Copy { to: there, mut report, .. } = copy;
        report.verified = verified(to, sql).await?;
        let record = serde_json::to_vec_pretty(&report)
            .map_err(|source| Error::Unreadable { what: "the record of the backup".into(), source })?;
        there.put(RECORD, &record).await?;
        there.remove(UNFINISHED).await?;
        lock.release().await;
        Ok(report)
    }

    async fn copy(&self, snapshot: &Snapshot, copy: &mut Copy) -> Result<()> {
        copy.report.taken_at = self.log().now();
        copy.report.source = self.home().place();
        copy.report.versions = snapshot.versions();
        copy.report.rounds = pins::kept_rounds(snapshot.open(TableId::Rounds)?).await?;
        let unfinished = self.planned_round(snapshot.rounds()).await?;
        let mut wanted = Vec::new();
        for table in TableId::ALL {
            wanted.push(Wanted::new(snapshot, *table, &copy.report.rounds, &copy.from).await?);
        }
        for table in &wanted {
            copy.once(&table.files).await?;
        }
        // Whoever names a face comes after the faces, `rounds`, which makes rows visible, last.
        wanted.sort_by_key(|wanted| match wanted.table {
            TableId::Faces => 0,
            TableId::Rounds => 2,
            _ => 1,
        });
        for table in &wanted {
            copy.newest(&table.manifests).await?;
        }
        let rest = copy.rest(unfinished).await?;
        copy.newest(&rest).await?;
        let keep: BTreeSet<&String> =
            wanted.iter().flat_map(|table| table.files.iter().chain(&table.manifests)).chain(&rest).collect();
        copy.remove_others(&keep).await
    }

    /// The files of this corpus.
    pub(crate) async fn objects(&self) -> Result<Objects> {
        match self.home().remote() {
            Some(remote) => Ok(remote.as_ref().clone()),
            None => Objects::of_folder(self.path()),
        }
    }
}

/// Makes a corpus in `to` (a path that must not exist, or be empty, or a URI) out of a backup, and verifies it.
pub async fn restore(from: &Path, to: &Path, sql: &SqlRuntime) -> Result<BackupReport> {
    let not_a_backup = || Error::NotABackup { path: from.to_owned() };
    if scheme(from).is_none() && !from.is_dir() {
        return Err(not_a_backup());
    }
    let (from, to_objects) = (Objects::at(from).await?, Objects::at(to).await?);
    let text = from.get(RECORD).await?.ok_or_else(not_a_backup)?;
    let mut report: BackupReport =
        serde_json::from_slice(&text).map_err(|source| Error::Unreadable { what: from.full_name(RECORD), source })?;
    if !to_objects.list("").await?.is_empty() {
        return Err(Error::NotEmpty { path: to.to_owned() });
    }
    if scheme(to).is_some() {
        to_objects.probe().await?;
    }
    (report.copied, report.bytes, report.kept, report.removed) = (0, 0, 0, 0);
    let names: BTreeSet<String> = from.list("").await?.into_iter().map(|(name, _)| name).collect();
    let mut copy = Copy { from, to: to_objects, report };
    copy.once(&names.into_iter().filter(|name| name != RECORD).collect()).await?;
    copy.report.verified = verified(to, sql).await?;
    Ok(copy.report)
}

/// A copy under way.
struct Copy {
    from: Objects,
    to: Objects,
    report: BackupReport,
}

impl Copy {
    /// Copies files that are written once, where they are not there.
    async fn once(&mut self, names: &BTreeSet<String>) -> Result<()> {
        for name in names {
            let here = self.from.head(name).await?;
            match (here, self.to.head(name).await?) {
                (Some(here), Some(there)) if here.size == there.size => self.report.kept += 1,
                _ => self.copy(name).await?,
            }
        }
        Ok(())
    }

    /// Copies files that may have changed since the last copy.
    async fn newest(&mut self, names: &BTreeSet<String>) -> Result<()> {
        for name in names {
            match self.is_current(name).await? {
                true => self.report.kept += 1,
                false => self.copy(name).await?,
            }
        }
        Ok(())
    }

    async fn is_current(&self, name: &str) -> Result<bool> {
        let (Some(here), Some(there)) = (self.from.head(name).await?, self.to.head(name).await?) else {
            return Ok(false);
        };
        if here.size != there.size {
            return Ok(false);
        }
        if here.size > COMPARED {
            return Ok(here.last_modified <= there.last_modified);
        }
        Ok(self.from.get(name).await? == self.to.get(name).await?)
    }

    async fn copy(&mut self, name: &str) -> Result<()> {
        self.report.bytes += self.to.copy(&self.from, name).await?;
        self.report.copied += 1;
        Ok(())
    }

    /// What is no table: checkpoints, settings, curriculum, keys. Not the round under way, whose files change.
    async fn rest(&self, unfinished: Option<u32>) -> Result<BTreeSet<String>> {
        let unfinished = unfinished.map(|round| format!("checkpoints/round-{round:05}/"));
        let is_left_out = |name: &String| {
            LEFT_OUT.iter().any(|left_out| name.starts_with(left_out))
                || [RECORD, UNFINISHED].contains(&name.as_str())
                || unfinished.as_ref().is_some_and(|folder| name.starts_with(folder))
        };
        let (mut rest, folders) = self.from.top().await?;
        for folder in folders.iter().filter(|folder| !LEFT_OUT.contains(&format!("{folder}/").as_str())) {
            rest.extend(self.from.list(folder).await?.into_iter().map(|(name, _)| name));
        }
        Ok(rest.into_iter().filter(|name| !is_left_out(name)).collect())
    }

    async fn remove_others(&mut self, keep: &BTreeSet<&String>) -> Result<()> {
        for (name, _) in self.to.list("").await? {
            if !keep.contains(&name) && name != UNFINISHED {
                self.to.remove(&name).await?;
                self.report.removed += 1;
            }
        }
        Ok(())
    }
}

/// Files of one table that the copy is to have.
struct Wanted {
    table: TableId,
    files: BTreeSet<String>,
    manifests: BTreeSet<String>,
}

impl Wanted {
    async fn new(snapshot: &Snapshot, table: TableId, rounds: &[u32], from: &Objects) -> Result<Self> {
        let mut wanted = Self { table, files: BTreeSet::new(), manifests: BTreeSet::new() };
        let folder = format!("tables/{}.lance", table.name());
        let latest = snapshot.open(table)?;
        let mut versions = BTreeSet::from([latest.version().version]);
        for round in rounds {
            let tag = pins::round_tag(*round);
            if let Some(version) = pins::version(latest, table, &tag).await? {
                wanted.manifests.insert(format!("{folder}/_refs/tags/{tag}.json"));
                versions.insert(version);
            }
        }
        for version in versions {
            let dataset = latest.checkout_version(version).await.map_err(Error::table(table))?;
            let indices = dataset.load_indices().await.map_err(Error::table(table))?;
            let files = VersionFiles { manifest: dataset.manifest().clone(), indices: indices.as_ref().clone() };
            wanted.files.extend(files.named().into_keys().map(|name| format!("{folder}/{name}")));
            for index in files.index_folders() {
                let names = from.list(&format!("{folder}/{index}")).await?;
                wanted.files.extend(names.into_iter().map(|(name, _)| name));
            }
            let manifest = dataset.manifest_location().path.filename().unwrap_or_default().to_owned();
            wanted.manifests.insert(format!("{folder}/_versions/{manifest}"));
        }
        Ok(wanted)
    }
}

/// A backup inside its corpus would be part of the next one.
fn refuse_inside(corpus: &Objects, to: &Path) -> Result<()> {
    let inside = match scheme(to) {
        Some(_) => to.to_string_lossy().trim_end_matches('/').starts_with(corpus.uri()),
        None => std::path::absolute(to).is_ok_and(|to| to.starts_with(corpus.uri())),
    };
    if inside { Err(Error::NotABackup { path: to.to_owned() }) } else { Ok(()) }
}

/// Makes sure that the place may become a backup of this corpus, and says so there.
async fn make_ready(there: &Objects, to: &Path, corpus: &str, source: &str) -> Result<()> {
    let mut known = there.get(UNFINISHED).await?.map(|text| String::from_utf8_lossy(&text).into_owned());
    if let Some(record) = there.get(RECORD).await? {
        let record: BackupReport =
            serde_json::from_slice(&record).map_err(|_| Error::NotABackup { path: to.to_owned() })?;
        // Records of older builds know the place only.
        known = Some(match record.corpus.is_empty() {
            true if record.source == source => corpus.to_owned(),
            true => record.source,
            false => record.corpus,
        });
    } else if known.is_none() && !there.list("").await?.is_empty() {
        return Err(Error::NotABackup { path: to.to_owned() });
    }
    // One that an older build did not finish does not say whose it is.
    if let Some(other) = known.filter(|known| !known.is_empty() && !known.starts_with('{') && known != corpus) {
        return Err(Error::AnotherBackup { path: to.to_owned(), corpus: other });
    }
    there.put(UNFINISHED, corpus.as_bytes()).await?;
    there.remove(RECORD).await
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
