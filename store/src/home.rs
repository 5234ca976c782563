//! Where a corpus lives: a folder, or an object store with a working folder on this machine.
//!
//! In: a path or a URI. Out: where each table lies, and files by their names in the corpus. In an object store the tables
//! are read and written in place; the few small files (settings, curriculum, keys, checkpoints) are brought into the working
//! folder when they are needed and sent back when they were written, so that everything above works with paths. What is in
//! the store wins: the working folder is a copy and may be deleted.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lance::io::ObjectStoreRegistry;

use crate::error::{Error, Result};
use crate::objects::{Objects, scheme};
use crate::repair;
use crate::table::TableId;

/// The variable that names the folder of working folders.
pub const CACHE_VARIABLE: &str = "MARGINALIA_CACHE";

/// Folders of a corpus whose contents are not brought along as a whole.
const ON_DEMAND: [&str; 4] = ["tables", "checkpoints", "locks", "tmp"];

/// Where a corpus lives; cheap to clone.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
    remote: Option<Arc<Objects>>,
}

impl Home {
    /// The home of the corpus at this path or URI.
    ///
    /// # Errors
    /// [`Error::NoCorpus`] where there is none; [`Error::UnsupportedScheme`] for a store that cannot hold one.
    pub async fn attach(root: &Path) -> Result<Self> {
        let home = Self::find(root).await?;
        match &home.remote {
            None if !home.folder.join("tables").is_dir() => Err(Error::NoCorpus { path: root.to_owned() }),
            None => {
                let folder = home.folder.canonicalize().map_err(Error::io(root))?;
                Ok(Self { folder, remote: None })
            }
            Some(remote) => {
                let (files, folders) = remote.top().await?;
                if !folders.iter().any(|folder| folder == "tables") {
                    return Err(Error::NoCorpus { path: root.to_owned() });
                }
                for file in &files {
                    home.bring(remote, file).await?;
                }
                for folder in folders.iter().filter(|folder| !ON_DEMAND.contains(&folder.as_str())) {
                    home.pull(folder).await?;
                    home.forget_removed(remote, folder).await?;
                }
                Ok(home)
            }
        }
    }

    /// A home for a new corpus, with its folders.
    pub(crate) async fn make(root: &Path) -> Result<Self> {
        let home = Self::find(root).await?;
        for folder in ["tables", "checkpoints", "locks"] {
            let folder = home.folder.join(folder);
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        }
        let folder = home.folder.canonicalize().map_err(Error::io(root))?;
        Ok(Self { folder, ..home })
    }

    async fn find(root: &Path) -> Result<Self> {
        match root.to_str().filter(|_| scheme(root).is_some()) {
            None => Ok(Self { folder: root.to_owned(), remote: None }),
            Some(uri) => {
                let remote = Objects::open(uri).await?;
                Ok(Self { folder: working_folder(remote.uri())?, remote: Some(Arc::new(remote)) })
            }
        }
    }

    /// The corpus's folder, or the working folder of one in an object store.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path or URI, for people.
    pub fn place(&self) -> String {
        self.remote.as_ref().map_or_else(|| self.folder.display().to_string(), |remote| remote.uri().to_owned())
    }

    /// Where a table lies, as Lance takes it.
    pub(crate) fn table_uri(&self, table: TableId) -> Result<String> {
        match &self.remote {
            Some(remote) => Ok(format!("{}/tables/{}.lance", remote.uri(), table.name())),
            None => utf8(&self.table_path(table)),
        }
    }

    /// Whether SQL may read what lies there: one of this corpus's tables, as Lance names it, and no hidden one.
    pub fn has_readable_table(&self, uri: &str) -> bool {
        let readable = TableId::ALL.iter().filter(|table| !table.is_hidden());
        readable.filter_map(|table| self.table_uri(*table).ok()).any(|own| own == uri)
    }

    /// The name within the corpus of what lies there; none where that is elsewhere. A relative path is a name already.
    pub fn name_of<'a>(&self, place: &'a str) -> Option<&'a str> {
        let name = match place.strip_prefix(&self.place()) {
            Some(rest) => rest.strip_prefix('/')?,
            None if place.contains("://") => return None,
            None => place,
        };
        let is_inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        (is_inside && !name.is_empty()).then_some(name)
    }

    /// The folder of a table on the local disk; none in an object store.
    pub(crate) fn local_table(&self, table: TableId) -> Option<PathBuf> {
        self.remote.is_none().then(|| self.table_path(table))
    }

    fn table_path(&self, table: TableId) -> PathBuf {
        self.folder.join("tables").join(format!("{}.lance", table.name()))
    }

    /// The object store; none for a folder.
    pub(crate) fn remote(&self) -> Option<&Arc<Objects>> {
        self.remote.as_ref()
    }

    /// What a Lance session opens stores with.
    pub(crate) fn registry(&self) -> Arc<ObjectStoreRegistry> {
        self.remote.as_ref().map_or_else(Arc::default, |remote| remote.registry())
    }

    /// Whether the table was ever committed.
    pub(crate) async fn has_table(&self, table: TableId) -> Result<bool> {
        match &self.remote {
            None => Ok(repair::has_versions(&self.table_path(table))),
            Some(remote) => Ok(!remote.list(&format!("tables/{}.lance/_versions", table.name())).await?.is_empty()),
        }
    }

    /// Brings a folder of the corpus up to date in the working folder.
    pub async fn pull(&self, folder: &str) -> Result<()> {
        let Some(remote) = &self.remote else { return Ok(()) };
        for (name, meta) in remote.list(folder).await? {
            let here = std::fs::metadata(self.folder.join(&name)).ok();
            // A small file may have changed without changing its size; a checkpoint is written once.
            if meta.size < 1 << 16 || here.is_none_or(|here| here.len() != meta.size) {
                self.bring(remote, &name).await?;
            }
        }
        Ok(())
    }

    /// Removes from a folder here what the store no longer has there: a curriculum taken away must not go on deciding.
    async fn forget_removed(&self, remote: &Objects, folder: &str) -> Result<()> {
        let there: BTreeSet<String> = remote.list(folder).await?.into_iter().map(|(name, _)| name).collect();
        for (name, _) in Objects::of_folder(&self.folder)?.list(folder).await? {
            if !there.contains(&name) {
                let file = self.folder.join(&name);
                std::fs::remove_file(&file).map_err(Error::io(&file))?;
            }
        }
        Ok(())
    }

    /// Brings one file of the corpus into the working folder; says whether the store has it.
    pub async fn fetch(&self, name: &str) -> Result<bool> {
        let Some(remote) = &self.remote else { return Ok(true) };
        let there = remote.head(name).await?.is_some();
        if there {
            self.bring(remote, name).await?;
        }
        Ok(there)
    }

    async fn bring(&self, remote: &Objects, name: &str) -> Result<()> {
        remote.download(name, &self.folder.join(name)).await
    }

    /// Sends a file, or a folder with all that is in it, to the store.
    pub async fn push(&self, name: &str) -> Result<()> {
        let Some(remote) = &self.remote else { return Ok(()) };
        let here = Objects::of_folder(&self.folder)?;
        if self.folder.join(name).is_file() {
            return remote.copy(&here, name).await.map(drop);
        }
        for (name, _) in here.list(name).await? {
            remote.copy(&here, &name).await?;
        }
        Ok(())
    }

    /// Removes a folder from the store.
    pub(crate) async fn remove_remote(&self, folder: &str) -> Result<()> {
        let Some(remote) = &self.remote else { return Ok(()) };
        for (name, _) in remote.list(folder).await? {
            remote.remove(&name).await?;
        }
        Ok(())
    }

    /// How often a loop may look for news that looks so often in a folder: in an object store every look is paid for.
    pub fn look_every(&self, in_a_folder: Duration) -> Duration {
        if self.remote.is_some() { 10 * in_a_folder } else { in_a_folder }
    }

    /// A name for this machine's working folder, the same every time. A folder that came from elsewhere, in an image or
    /// over the network, is another machine's: who takes a name to be its own takes the holder of a lease to be dead.
    pub(crate) fn machine(&self) -> Result<String> {
        let host = host();
        let path = self.folder.join("locks").join(format!("machine-{host}"));
        if let Ok(known) = std::fs::read_to_string(&path) {
            return Ok(known);
        }
        let name = format!("{host}-{:08x}", rand::random::<u32>());
        std::fs::create_dir_all(self.folder.join("locks")).map_err(Error::io(&path))?;
        // Two processes may start at once: the first name stands.
        let new =
            std::fs::File::create_new(&path).and_then(|mut file| std::io::Write::write_all(&mut file, name.as_bytes()));
        match new {
            Ok(()) => Ok(name),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                std::fs::read_to_string(&path).map_err(Error::io(path))
            }
            Err(error) => Err(Error::io(path)(error)),
        }
    }
}

/// What this machine is called.
pub(crate) fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}

/// Lance takes UTF-8 only.
pub(crate) fn utf8(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::FileSystem {
        path: path.to_owned(),
        reason: "the path is not UTF-8; put the corpus elsewhere".to_owned(),
    })
}

/// One folder per URI, under the user's cache.
fn working_folder(uri: &str) -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = variable(CACHE_VARIABLE)
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("marginalia")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache").join("marginalia")))
        .ok_or_else(|| Error::NoCache { variable: CACHE_VARIABLE })?;
    let readable: String = uri.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    // Two endpoints may have buckets of one name.
    let endpoint =
        ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"].iter().find_map(|name| std::env::var(name).ok());
    let hash = blake3::hash(format!("{uri} {}", endpoint.unwrap_or_default()).as_bytes()).to_hex();
    Ok(caches.join("corpora").join(format!("{}-{}", readable.trim_matches('-'), &hash[..8])))
}
