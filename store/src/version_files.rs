//! Which files a version of a table is made of.
//!
//! In: a table's folder, a version. Out: paths relative to that folder. Lance's files are written once and never changed,
//! so a version is exactly its manifest and what that names: commits sync these, repair checks them, backups copy them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use lance_io::object_store::ObjectStore;
use lance_table::format::{IndexMetadata, Manifest};
use lance_table::io::commit::{ManifestLocation, ManifestNamingScheme};
use lance_table::io::deletion::relative_deletion_file_path;
use lance_table::io::manifest::{read_manifest, read_manifest_indexes};
use object_store::path::Path as ObjectPath;

/// A version's manifest and indices, read from its file alone.
pub(crate) struct VersionFiles {
    pub manifest: Manifest,
    pub indices: Vec<IndexMetadata>,
}

/// Manifests of a table by version, the newest first.
pub(crate) fn versions(table: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let version = |file: PathBuf| {
        let name = file.file_name()?.to_str()?;
        Some((ManifestNamingScheme::detect_scheme(name)?.parse_version(name)?, file))
    };
    let mut found: Vec<_> = files(&table.join("_versions"))?.into_iter().filter_map(version).collect();
    found.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    Ok(found)
}

/// Files of a folder; none where there is no such folder.
pub(crate) fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

impl VersionFiles {
    /// Reads the manifest in this file, past every cache.
    pub async fn read(version: u64, file: &Path) -> lance::Result<Self> {
        let store = ObjectStore::local();
        let path = ObjectPath::from_absolute_path(file).map_err(|error| lance::Error::io_source(Box::new(error)))?;
        let manifest = read_manifest(&store, &path, None).await?;
        let location = ManifestLocation {
            version,
            path,
            size: None,
            naming_scheme: ManifestNamingScheme::V2,
            e_tag: None,
            identity: None,
        };
        let indices = read_manifest_indexes(&store, &location, &manifest).await?;
        Ok(Self { manifest, indices })
    }

    /// Every file that the version is made of but the manifest itself, with its size where the manifest knows it.
    pub fn names(&self, table: &Path) -> std::io::Result<BTreeMap<String, Option<u64>>> {
        let mut names = self.named();
        for folder in self.index_folders() {
            // A folder that is missing must not pass for an index without files.
            for entry in std::fs::read_dir(table.join(&folder))? {
                names.insert(format!("{folder}/{}", entry?.file_name().to_string_lossy()), None);
            }
        }
        Ok(names)
    }

    /// Folders whose files belong to the version, all of them.
    pub fn index_folders(&self) -> impl Iterator<Item = String> {
        self.indices.iter().map(|index| format!("_indices/{}", index.uuid))
    }

    /// The files that the manifest itself names.
    pub fn named(&self) -> BTreeMap<String, Option<u64>> {
        let mut names = BTreeMap::new();
        for fragment in self.manifest.fragments.iter() {
            for file in &fragment.files {
                let size = file.file_size_bytes.get().map(|size| size.get());
                names.insert(format!("data/{}", file.path), size);
            }
            if let Some(deletions) = &fragment.deletion_file {
                names.insert(relative_deletion_file_path(fragment.id, deletions), None);
            }
        }
        // Where the manifest holds it, what lies beside is a copy that nothing reads.
        if let Some(transaction) = self.manifest.transaction_file.as_ref().filter(|_| !self.holds_transaction()) {
            names.insert(format!("_transactions/{transaction}"), None);
        }
        names
    }

    fn holds_transaction(&self) -> bool {
        self.manifest.transaction_section.is_some()
    }
}

/// What every Lance file ends with: data, indices, manifests.
pub(crate) const LANCE_END: &[u8] = b"LANC";

/// What Arrow files end with: lists of deleted rows.
const ARROW_END: &[u8] = b"ARROW1";

/// Whether a file of a table is there and whole, as far as its size and its ends tell; if not, why.
pub(crate) fn check_whole(table: &Path, name: &str, size: Option<u64>) -> Result<(), String> {
    let path = table.join(name);
    let checked = match name.rsplit('.').next() {
        Some("lance") => ends_with(&path, LANCE_END, size),
        Some("arrow") => ends_with(&path, ARROW_END, size),
        _ => starts_well(&path),
    };
    checked.map_err(|reason| format!("{name} {reason}"))
}

/// A file has its size, where that is known, and its magic at the end.
pub(crate) fn ends_with(path: &Path, magic: &[u8], size: Option<u64>) -> Result<(), String> {
    let mut file = File::open(path).map_err(|e| format!("does not open ({e})"))?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    if let Some(size) = size.filter(|size| *size != length) {
        return Err(format!("has {length} bytes instead of {size}"));
    }
    let mut end = vec![0; magic.len()];
    let back = -(magic.len() as i64);
    match file.seek(SeekFrom::End(back)).and_then(|_| file.read_exact(&mut end)) {
        Ok(()) if end == magic => Ok(()),
        _ => Err(format!("breaks off after {length} bytes or is overwritten")),
    }
}

/// Any other file is there and does not begin with zeros.
fn starts_well(path: &Path) -> Result<(), String> {
    let mut start = Vec::new();
    let file = File::open(path).map_err(|e| format!("does not open ({e})"))?;
    file.take(8).read_to_end(&mut start).map_err(|e| e.to_string())?;
    if start.iter().any(|byte| *byte != 0) { Ok(()) } else { Err("is empty or zero".to_owned()) }
}
