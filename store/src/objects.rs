//! Objects by name: those of an object store from a prefix on, or the files of a folder. And the probe that decides whether
//! a store may hold a corpus.
//!
//! In: a URI or a path. Out: objects by names relative to it. Commits, leases and the numbering of versions all stand on one
//! promise: a conditional put (`If-None-Match: *`) of a name that exists fails. A store that ignores the condition answers "done" to two
//! writers of one version, and the rows of the first are gone without a word; so the promise is tried before it is needed.

use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use lance::io::ObjectStoreRegistry;
use lance_io::object_store::{ObjectStore as LanceStore, ObjectStoreParams};
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, WriteMultipart};
use tokio::io::AsyncWriteExt;

use crate::error::{Error, Result};

/// URI schemes whose stores have conditional puts. Lance commits to any other without them: the last writer would win.
const SCHEMES: &[&str] = if cfg!(feature = "s3") { &["s3"] } else { &[] };

/// A part of a large object in upload, bytes.
const PART: usize = 8 << 20;

/// An object store from one prefix on, or a folder.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    uri: String,
    base: ObjectPath,
    store: Arc<dyn ObjectStore>,
    registry: Arc<ObjectStoreRegistry>,
}

/// The scheme of a text that is a URI.
pub(crate) fn scheme(root: &Path) -> Option<&str> {
    let (scheme, _) = root.to_str()?.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || c == '+' || c == '-');
    is_scheme.then_some(scheme)
}

impl Objects {
    /// The store that the URI names; nothing is asked of it yet. Where it is and who asks, the environment says
    /// (`AWS_ENDPOINT`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, …, or what an instance or a profile provides).
    ///
    /// # Errors
    /// [`Error::UnsupportedScheme`] for any scheme that is not on the list.
    pub async fn open(uri: &str) -> Result<Self> {
        let uri = uri.trim_end_matches('/').to_owned();
        let scheme = scheme(Path::new(&uri)).unwrap_or_default().to_owned();
        if !SCHEMES.contains(&scheme.as_str()) {
            return Err(Error::UnsupportedScheme { uri, scheme });
        }
        let registry = Arc::new(ObjectStoreRegistry::default());
        let (store, base) = LanceStore::from_uri_and_params(registry.clone(), &uri, &ObjectStoreParams::default())
            .await
            .map_err(|source| Error::RemoteStore { uri: uri.clone(), source: Box::new(source) })?;
        Ok(Self { uri, base, store: store.inner.clone(), registry })
    }

    /// The files of a folder, which is made where it is missing; what is written lies on the disk.
    pub fn of_folder(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(Error::io(path))?;
        let uri = path.display().to_string();
        let store = LocalFileSystem::new_with_prefix(path)
            .map_err(|source| Error::RemoteStore { uri: uri.clone(), source: Box::new(source.into()) })?;
        let store = Arc::new(store.with_fsync(true).with_automatic_cleanup(true));
        Ok(Self { uri, base: ObjectPath::default(), store, registry: Arc::default() })
    }

    /// [`Objects::open`] or [`Objects::of_folder`], by what `root` is.
    pub async fn at(root: &Path) -> Result<Self> {
        match root.to_str().filter(|_| scheme(root).is_some()) {
            Some(uri) => Self::open(uri).await,
            None => Self::of_folder(root),
        }
    }

    /// The URI, without a slash at its end.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// For Lance sessions: they share its connections.
    pub fn registry(&self) -> Arc<ObjectStoreRegistry> {
        self.registry.clone()
    }

    /// Tries two conditional puts of one name.
    ///
    /// # Errors
    /// [`Error::NoConditionalPut`] where both went through.
    pub async fn probe(&self) -> Result<()> {
        let name = format!("locks/probe-{:016x}", rand::random::<u64>());
        let first = self.create(&name, b"probe").await;
        let second = self.create(&name, b"probe").await;
        let gone = self.remove(&name).await;
        match (first?, second?) {
            (true, false) => gone,
            _ => Err(Error::NoConditionalPut { uri: self.uri.clone() }),
        }
    }

    /// An object's bytes; none where there is no such object.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let bytes = async { self.store.get(&self.path(name)).await?.bytes().await };
        match bytes.await {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(name)(error)),
        }
    }

    /// Writes an object, over one that is there.
    pub async fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let put = self.store.put(&self.path(name), bytes.to_vec().into()).await;
        put.map(drop).map_err(self.error(name))
    }

    /// Writes an object unless it is there; says whether it did.
    pub async fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&self.path(name), bytes.to_vec().into(), options).await {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.error(name)(error)),
        }
    }

    /// Every object whose name begins with this folder's, by names relative to the corpus.
    pub async fn list(&self, folder: &str) -> Result<Vec<(String, ObjectMeta)>> {
        let prefix = self.path(folder);
        let found: Vec<ObjectMeta> = self.store.list(Some(&prefix)).try_collect().await.map_err(self.error(folder))?;
        Ok(found.into_iter().map(|meta| (self.name(&meta.location), meta)).collect())
    }

    /// Objects and folders directly under the corpus.
    pub async fn top(&self) -> Result<(Vec<String>, Vec<String>)> {
        let top = self.store.list_with_delimiter(Some(&self.base)).await.map_err(self.error(""))?;
        let objects = top.objects.iter().map(|meta| self.name(&meta.location)).collect();
        Ok((objects, top.common_prefixes.iter().map(|path| self.name(path)).collect()))
    }

    /// What the store knows about an object; none where there is no such object.
    pub async fn head(&self, name: &str) -> Result<Option<ObjectMeta>> {
        match self.store.head(&self.path(name)).await {
            Ok(meta) => Ok(Some(meta)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.error(name)(error)),
        }
    }

    /// Removes an object; one that is not there is gone already.
    pub async fn remove(&self, name: &str) -> Result<()> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.error(name)(error)),
        }
    }

    /// Brings an object into a file, whole or not at all.
    pub async fn download(&self, name: &str, to: &Path) -> Result<()> {
        let part = to.with_extension("part");
        if let Some(folder) = to.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        let mut bytes = self.store.get(&self.path(name)).await.map_err(self.error(name))?.into_stream();
        let mut file = tokio::fs::File::create(&part).await.map_err(Error::io(&part))?;
        while let Some(chunk) = bytes.next().await {
            file.write_all(&chunk.map_err(self.error(name))?).await.map_err(Error::io(&part))?;
        }
        file.sync_all().await.map_err(Error::io(&part))?;
        std::fs::rename(&part, to).map_err(Error::io(to))
    }

    /// Copies an object from elsewhere, a part at a time where it is large; returns its bytes.
    pub async fn copy(&self, from: &Objects, name: &str) -> Result<u64> {
        let found = from.store.get(&from.path(name)).await.map_err(from.error(name))?;
        let size = found.meta.size;
        if size <= PART as u64 {
            self.put(name, &found.bytes().await.map_err(from.error(name))?).await?;
            return Ok(size);
        }
        let upload = self.store.put_multipart(&self.path(name)).await.map_err(self.error(name))?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut bytes = found.into_stream();
        while let Some(chunk) = bytes.next().await {
            upload.wait_for_capacity(2).await.map_err(self.error(name))?;
            upload.write(&chunk.map_err(from.error(name))?);
        }
        upload.finish().await.map_err(self.error(name))?;
        Ok(size)
    }

    /// The whole name, for people.
    pub fn full_name(&self, name: &str) -> String {
        format!("{}/{name}", self.uri)
    }

    fn path(&self, name: &str) -> ObjectPath {
        let full = format!("{}/{}", self.base, name.trim_matches('/'));
        // Names that the store has listed are encoded already.
        ObjectPath::parse(&full).unwrap_or_else(|_| ObjectPath::from(full))
    }

    fn name(&self, path: &ObjectPath) -> String {
        let relative = path.as_ref().strip_prefix(self.base.as_ref()).unwrap_or(path.as_ref());
        relative.trim_start_matches('/').to_owned()
    }

    fn error(&self, name: &str) -> impl Fn(StoreError) -> Error + use<> {
        let uri = self.full_name(name);
        move |source| Error::RemoteStore { uri: uri.clone(), source: Box::new(lance::Error::from(source)) }
    }
}
