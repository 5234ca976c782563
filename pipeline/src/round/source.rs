//! Images for the trainer, gathered from the round's snapshot by place, without holding the corpus.

use std::sync::Arc;

use marginalia_store::Snapshot;
use marginalia_trainer::FaceSource;
use tokio::runtime::Handle;

/// A snapshot as the trainer sees it. The trainer's threads are its own, so they may wait for the store's.
pub struct SnapshotFaces {
    snapshot: Arc<Snapshot>,
    handle: Handle,
}

impl SnapshotFaces {
    /// Faces of a snapshot; call it on the async runtime.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self { snapshot, handle: Handle::current() }
    }
}

impl FaceSource for SnapshotFaces {
    fn images(&self, indices: &[u64]) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.handle.block_on(self.snapshot.images(indices))?)
    }
}
