//! Which faces must not come back: those that were forgotten.
//!
//! In: ids of faces about to be stored. Out: for each whether it was forgotten. The table holds hashes under a key that
//! lies in the corpus and nowhere else, so that a copy of the table alone says nothing about anybody.

use std::collections::HashSet;
use std::path::Path;

use tokio::sync::Mutex;

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::log::Log;
use crate::round::write_whole;
use crate::snapshot::read_all;
use crate::table::TableId;
use crate::tables::tombstones::Tombstone;

const KEY: &str = "tombstone.key";

/// The forgotten, as of the newest version of their table.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    read: Mutex<Option<Read>>,
}

#[derive(Debug)]
struct Read {
    version: u64,
    key: [u8; 32],
    hashes: HashSet<String>,
}

impl Tombstones {
    /// For each id whether it was forgotten.
    pub async fn hold(&self, home: &Home, log: &dyn Log, face_ids: &[&str]) -> Result<Vec<bool>> {
        let table = log.latest(TableId::Tombstones).await?;
        let version = table.version().version;
        let mut read = self.read.lock().await;
        if read.as_ref().is_none_or(|read| read.version != version) {
            let rows = read_all::<Tombstone>(&table, None).await?;
            let hashes: HashSet<String> = rows.into_iter().map(|row| row.hash).collect();
            // Nobody forgotten: no key is needed, and none is made.
            let key = if hashes.is_empty() { [0; 32] } else { read_key(home).await? };
            *read = Some(Read { version, key, hashes });
        }
        let held = |id: &&str| match &*read {
            Some(read) if !read.hashes.is_empty() => read.hashes.contains(&hash(&read.key, id)),
            _ => false,
        };
        Ok(face_ids.iter().map(held).collect())
    }
}

impl Corpus {
    /// For each face whether it was forgotten and must not be stored again.
    pub async fn forgotten(&self, face_ids: &[&str]) -> Result<Vec<bool>> {
        self.tombstones().hold(self.home(), self.log().as_ref(), face_ids).await
    }

    /// Tombstones for these faces; the key is made with the first.
    pub(crate) async fn new_tombstones(&self, face_ids: &[String]) -> Result<Vec<Tombstone>> {
        let key = rand::random::<[u8; 32]>();
        let path = self.path().join(KEY);
        match self.home().remote() {
            // Another machine's key, if there is one already, stands.
            Some(remote) => drop(remote.create(KEY, &key).await?),
            None if path.exists() => {}
            None => {
                write_whole(&path, &key)?;
                restrict(&path)?;
            }
        }
        let (key, erased_at) = (read_key(self.home()).await?, self.log().now());
        Ok(face_ids.iter().map(|id| Tombstone { hash: hash(&key, id), erased_at }).collect())
    }
}

fn hash(key: &[u8; 32], face_id: &str) -> String {
    blake3::keyed_hash(key, face_id.as_bytes()).to_hex().to_string()
}

async fn read_key(home: &Home) -> Result<[u8; 32]> {
    home.fetch(KEY).await?;
    let path = home.folder().join(KEY);
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| Error::BadKey { path, length })
}

/// Only the corpus's owner may read the key.
#[cfg(unix)]
fn restrict(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(Error::io(path))
}

#[cfg(not(unix))]
fn restrict(_path: &Path) -> Result<()> {
    Ok(())
}
