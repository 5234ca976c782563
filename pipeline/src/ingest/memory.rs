//! The watcher's memory over the table of sightings.

use marginalia_datasets::encode_path;
use marginalia_store::{Corpus, FileKey as SeenKey, SeenFiles, Timestamp};
use tokio::sync::Mutex;

use crate::watch::{AlreadySeen, FileKey};

/// Knows a file by its sighting.
pub struct Memory(Mutex<SeenFiles>);

impl Memory {
    /// The memory of a corpus.
    pub fn new(corpus: &Corpus) -> Self {
        Self(Mutex::new(SeenFiles::new(corpus)))
    }
}

impl AlreadySeen for Memory {
    async fn seen(&self, batch: &[FileKey]) -> Vec<bool> {
        let keys: Vec<SeenKey> = batch
            .iter()
            .map(|key| SeenKey {
                source: encode_path(&key.path),
                size: key.size,
                mtime: Some(Timestamp::from(key.mtime)),
                inode: Some(key.inode),
            })
            .collect();
        match self.0.lock().await.seen(&keys).await {
            Ok(seen) => seen,
            Err(error) => {
                // Reading a file again is harmless: its hash says that it is known.
                tracing::warn!("cannot ask which files were seen ({error}); reading them again");
                vec![false; keys.len()]
            }
        }
    }
}
