//! The newest version of a local table, found without reading the names of all versions each time.
//!
//! In: a table's folder. Out: where its newest manifest lies. Whoever reads or commits asks for it, of every table, and a table
//! has hundreds of versions. So what was found stands while the folder of versions was not touched: a commit and a clean-up
//! both touch it. Its clock may tick slower than commits follow each other; a version that came within the same tick is
//! there under the next number.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use lance_io::local::to_local_path;
use lance_io::object_writer::get_etag;
use lance_table::io::commit::{ManifestLocation, ManifestNamingScheme, VERSIONS_DIR};
use object_store::path::Path as ObjectPath;

/// What this process has found so far.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    found: Mutex<HashMap<PathBuf, Found>>,
}

#[derive(Debug)]
struct Found {
    /// When the folder had been touched last before it was read.
    touched: SystemTime,
    location: ManifestLocation,
}

impl Newest {
    /// The newest manifest of a table.
    ///
    /// # Errors
    /// `NotFound` where there is no table.
    pub fn of(&self, table: &ObjectPath) -> Result<ManifestLocation> {
        let folder = PathBuf::from(to_local_path(&table.clone().join(VERSIONS_DIR)));
        let touched = std::fs::metadata(&folder)?.modified()?;
        if let Some(location) = self.still(&folder, touched, table) {
            return Ok(location);
        }
        let (version, scheme) = newest_in(&folder)?.ok_or_else(|| Error::from(ErrorKind::NotFound))?;
        let location = located(table, version, scheme)?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert(folder, Found { touched, location: location.clone() });
        Ok(location)
    }

    /// Manifests of a table with a version above `version`, the newest first.
    pub fn since(&self, table: &ObjectPath, version: u64) -> Result<Vec<ManifestLocation>> {
        let newest = self.of(table)?;
        let mut newer = Vec::new();
        for between in (version.saturating_add(1)..newest.version).rev() {
            match located(table, between, newest.naming_scheme) {
                Ok(location) => newer.push(location),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if newest.version > version {
            newer.insert(0, newest);
        }
        Ok(newer)
    }

    fn still(&self, folder: &Path, touched: SystemTime, table: &ObjectPath) -> Option<ManifestLocation> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let location = &found.get(folder).filter(|found| found.touched == touched)?.location;
        let next = location.naming_scheme.manifest_path(table, location.version + 1);
        (!Path::new(&to_local_path(&next)).exists()).then(|| location.clone())
    }
}

/// The highest version that a name in the folder gives; what is being written there has no such name.
fn newest_in(folder: &Path) -> Result<Option<(u64, ManifestNamingScheme)>> {
    let mut newest = None;
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        let version =
            ManifestNamingScheme::detect_scheme(&name).and_then(|scheme| Some((scheme.parse_version(&name)?, scheme)));
        if let Some((version, scheme)) = version
            && newest.is_none_or(|(highest, _)| version > highest)
        {
            newest = Some((version, scheme));
        }
    }
    Ok(newest)
}

fn located(table: &ObjectPath, version: u64, naming_scheme: ManifestNamingScheme) -> Result<ManifestLocation> {
    let path = naming_scheme.manifest_path(table, version);
    let metadata = std::fs::metadata(to_local_path(&path))?;
    let (size, e_tag) = (Some(metadata.len()), Some(get_etag(&metadata)));
    Ok(ManifestLocation { version, path, size, naming_scheme, e_tag, identity: None })
}
