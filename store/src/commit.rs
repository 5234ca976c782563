//! The commit of a local table: a version gets its name only after every byte of it lies on the disk.
//!
//! In: a manifest that Lance wants to be the next version. Out: that version, durable. Lance itself never syncs, and gives
//! the manifest its name before its bytes are written out: a power cut in between leaves a table that no longer opens, old
//! rows included, and a sync after the commit comes too late. So here the order is: write the manifest under a staging name;
//! sync it, every file that it names and that no earlier commit synced, and the folders that hold their names; link it to its
//! final name, which fails if another writer was first; sync the folder. Every writer of every table commits through this,
//! whatever the change: append, delete, compaction, index. In an object store, where an object is there as a whole or not at
//! all, Lance's own commit does.
//!
//! The manifest holds the transaction. Lance lays a copy in a file beside it, for its record; nothing reads that, so nobody
//! waits for it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use lance_io::local::to_local_path;
use lance_io::object_store::ObjectStore;
use lance_io::object_writer::get_etag;
use lance_table::format::{IndexMetadata, Manifest, Transaction};
use lance_table::io::commit::{CommitError, CommitHandler, ManifestLocation, ManifestNamingScheme, ManifestWriter};
use object_store::path::Path as ObjectPath;

use crate::newest::Newest;
use crate::version_files::{VersionFiles, check_whole};

/// What stands in the name of a manifest that is being written. Lance does not take such a file for a manifest.
pub(crate) const STAGING: &str = "manifest.staging-";

/// Threads that wait for the disk on behalf of one commit. A usual one has six files and folders to sync.
const SYNCS_AT_ONCE: usize = 8;

/// Commits that are on the disk when they are done.
#[derive(Clone, Debug)]
pub(crate) struct DurableCommits {
    /// Whether to sync; without, a version is merely whole for whoever reads it.
    syncs: bool,
    /// Files of each table that a commit of this process has made sure of, among those its newest manifest names.
    secured: Arc<Mutex<HashMap<PathBuf, HashSet<String>>>>,
    newest: Arc<Newest>,
}

/// A sync that failed: what the kernel kept is unknown, so nobody may be told that the commit is safe.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub(crate) struct SyncFailed {
    pub path: PathBuf,
    pub source: std::io::Error,
}

/// A file that a version names is not whole: the version must not come to be.
#[derive(Debug, thiserror::Error)]
#[error("{0}: a write must have failed (is the disk full?); nothing was committed")]
struct NotWhole(String);

impl DurableCommits {
    /// With `syncs` a commit is on the disk when it is done; without, the operating system has it.
    pub fn new(syncs: bool) -> Self {
        Self { syncs, secured: Arc::default(), newest: Arc::default() }
    }

    /// Publishes the version: makes sure of what it names, then gives its manifest the final name.
    fn publish(&self, table: &Path, path: &Path, next: Staged) -> Result<std::fs::Metadata, CommitError> {
        let metadata = next.metadata;
        if self.syncs {
            sync_all(next.unsynced)?;
        }
        match std::fs::hard_link(&next.staging.0, path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(CommitError::CommitConflict),
            Err(error) => return Err(other(error)),
        }
        drop(next.staging);
        if self.syncs
            && let Some(folder) = path.parent()
        {
            sync(folder)?;
        }
        let mut all = self.secured.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(table.to_owned(), next.names);
        Ok(metadata)
    }

    /// Looks at every file that the version names and that this process has not made sure of yet, and writes the manifest
    /// under a staging name. A write that failed may have gone unheard (Lance hands its writes to another thread, and the
    /// error of the last one can get lost), so even a file of this process is looked at.
    fn stage(&self, table: &Path, path: &Path, next: &VersionFiles, bytes: &[u8]) -> Result<Staged, CommitError> {
        let names = next.names(table).map_err(|error| boxed(NotWhole(format!("{}: {error}", table.display()))))?;
        let secured = {
            let all = self.secured.lock().unwrap_or_else(PoisonError::into_inner);
            all.get(table).cloned().unwrap_or_default()
        };
        let mut unsynced = BTreeSet::new();
        for (name, size) in names.iter().filter(|(name, _)| !secured.contains(*name)) {
            check_whole(table, name, *size).map_err(|reason| boxed(NotWhole(reason)))?;
            let inside = table.join(name);
            unsynced.extend(inside.ancestors().take_while(|part| part.starts_with(table)).map(Path::to_owned));
        }
        if next.manifest.version == 1 {
            // A new table: its own name has to last too.
            unsynced.extend(table.ancestors().take(3).map(Path::to_owned));
        }
        let staging = Staging(staging_path(path));
        if let Some(folder) = staging.0.parent() {
            std::fs::create_dir_all(folder).map_err(other)?;
        }
        let mut file = File::create_new(&staging.0).map_err(other)?;
        file.write_all(bytes).map_err(other)?;
        let metadata = file.metadata().map_err(other)?;
        unsynced.insert(staging.0.clone());
        let unsynced = unsynced.into_iter().collect();
        Ok(Staged { names: names.into_keys().collect(), unsynced, staging, metadata })
    }
}

/// A version that is written and has no name yet.
struct Staged {
    /// Files that it names.
    names: HashSet<String>,
    /// Files and folders that have to lie on the disk before it may have one.
    unsynced: Vec<PathBuf>,
    staging: Staging,
    metadata: std::fs::Metadata,
}

/// The manifest under its staging name, which goes either way; one that stays after a kill is swept later.
struct Staging(PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[async_trait]
impl CommitHandler for DurableCommits {
    fn is_version_not_found_definitive(&self) -> bool {
        true
    }

    async fn resolve_latest_location(
        &self,
        base_path: &ObjectPath,
        _object_store: &ObjectStore,
    ) -> lance::Result<ManifestLocation> {
        self.newest.of(base_path).map_err(|error| not_found(base_path, error))
    }

    fn list_manifest_locations_since<'a>(
        &self,
        base_path: &ObjectPath,
        _object_store: &'a ObjectStore,
        since_version: u64,
    ) -> BoxStream<'a, lance::Result<ManifestLocation>> {
        match self.newest.since(base_path, since_version) {
            Ok(newer) => stream::iter(newer.into_iter().map(Ok)).boxed(),
            Err(error) => stream::iter([Err(not_found(base_path, error))]).boxed(),
        }
    }

    async fn commit(
        &self,
        manifest: &mut Manifest,
        indices: Option<Vec<IndexMetadata>>,
        base_path: &ObjectPath,
        _object_store: &ObjectStore,
        manifest_writer: ManifestWriter,
        naming_scheme: ManifestNamingScheme,
        transaction: Option<Transaction>,
    ) -> Result<ManifestLocation, CommitError> {
        let table = PathBuf::from(to_local_path(base_path));
        let path = naming_scheme.manifest_path(base_path, manifest.version);
        let local = PathBuf::from(to_local_path(&path));
        let memory = ObjectStore::memory();
        let name = ObjectPath::from("manifest");
        let of_next = indices.clone().unwrap_or_default();
        manifest_writer(&memory, manifest, indices, &name, transaction).await?;
        // As it was written: it knows now whether it holds the transaction.
        let next = VersionFiles { manifest: manifest.clone(), indices: of_next };
        let bytes = memory.read_one_all(&name).await?;
        let size = Some(bytes.len() as u64);
        let commits = self.clone();
        let publishing = tokio::task::spawn_blocking(move || {
            let staged = commits.stage(&table, &local, &next, &bytes)?;
            commits.publish(&table, &local, staged)
        });
        let metadata = publishing.await.map_err(boxed)??;
        Ok(ManifestLocation {
            version: manifest.version,
            path,
            size,
            naming_scheme,
            e_tag: Some(get_etag(&metadata)),
            identity: None,
        })
    }
}

/// Commits one version and no other: whoever looked at the table before is told where it has moved on.
#[derive(Debug)]
pub(crate) struct OnlyVersion {
    /// The version.
    pub version: u64,
    /// What makes it.
    pub commits: Arc<dyn CommitHandler>,
}

#[async_trait]
impl CommitHandler for OnlyVersion {
    fn is_version_not_found_definitive(&self) -> bool {
        self.commits.is_version_not_found_definitive()
    }

    fn propagate_commit_error_after_success(&self) -> bool {
        self.commits.propagate_commit_error_after_success()
    }

    async fn resolve_latest_location(
        &self,
        base_path: &ObjectPath,
        object_store: &ObjectStore,
    ) -> lance::Result<ManifestLocation> {
        self.commits.resolve_latest_location(base_path, object_store).await
    }

    fn list_manifest_locations_since<'a>(
        &self,
        base_path: &ObjectPath,
        object_store: &'a ObjectStore,
        since_version: u64,
    ) -> BoxStream<'a, lance::Result<ManifestLocation>> {
        self.commits.list_manifest_locations_since(base_path, object_store, since_version)
    }

    async fn commit(
        &self,
        manifest: &mut Manifest,
        indices: Option<Vec<IndexMetadata>>,
        base_path: &ObjectPath,
        object_store: &ObjectStore,
        manifest_writer: ManifestWriter,
        naming_scheme: ManifestNamingScheme,
        transaction: Option<Transaction>,
    ) -> Result<ManifestLocation, CommitError> {
        if manifest.version != self.version {
            return Err(CommitError::CommitConflict);
        }
        self.commits
            .commit(manifest, indices, base_path, object_store, manifest_writer, naming_scheme, transaction)
            .await
    }
}

fn not_found(table: &ObjectPath, error: std::io::Error) -> lance::Error {
    match error.kind() {
        ErrorKind::NotFound => lance::Error::not_found(table.to_string()),
        _ => lance::Error::io_source(Box::new(error)),
    }
}

fn staging_path(manifest: &Path) -> PathBuf {
    let unique: u64 = rand::random();
    let name = manifest.file_stem().unwrap_or_default().to_string_lossy();
    manifest.with_file_name(format!("{name}.{STAGING}{unique:016x}"))
}

/// Syncs files and folders side by side: a journalling file system writes its journal once for all who wait, where it would
/// write it again for each who comes after another.
fn sync_all(paths: Vec<PathBuf>) -> Result<(), CommitError> {
    let share = paths.len().div_ceil(SYNCS_AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let some = paths.chunks(share).map(|some| scope.spawn(|| some.iter().try_for_each(|path| sync(path))));
        let waiting: Vec<_> = some.collect();
        waiting.into_iter().try_for_each(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Syncs a file, or a folder's names.
fn sync(path: &Path) -> Result<(), CommitError> {
    File::open(path).and_then(|opened| opened.sync_all()).map_err(|source| failed(path, source))
}

fn failed(path: &Path, source: std::io::Error) -> CommitError {
    boxed(SyncFailed { path: path.to_owned(), source })
}

fn other(error: std::io::Error) -> CommitError {
    boxed(error)
}

fn boxed(error: impl std::error::Error + Send + Sync + 'static) -> CommitError {
    CommitError::OtherError(lance::Error::io_source(Box::new(error)))
}
