//! Faces that were read lately, by id: those that people are about to look at.
//!
//! In: ids. Out: faces with their images, from memory where they are there, and images that were made small, each of
//! them once for all who look. A face never changes, but it may be forgotten: whatever is remembered is thrown away
//! when anything was forgotten since, so that what is gone from the corpus is gone from here. Reading one face from the
//! tables takes as long as reading hundreds together, where many of them are not in the index yet; so the desk asks for
//! the top of the queue at once, before anybody does.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Bytes;
use marginalia_store::tables::faces::Face;
use marginalia_store::{Corpus, TableId, is_face_id};
use moka::sync::Cache;

use crate::error::Result;

/// Bytes of images that are remembered.
const BYTES: u64 = 64 << 20;
/// Bytes of small images that are remembered.
const SMALL_BYTES: u64 = 32 << 20;
/// Faces that are read together: enough for what one has before them, and few enough for memory where they are large.
const TOGETHER: usize = 64;
/// Bytes that a face takes beside its image, about.
const AROUND: usize = 400;

/// The faces; cheap to clone.
#[derive(Clone)]
pub(crate) struct Pictures {
    corpus: Corpus,
    /// Each with the version of the tombstones that held when it was read: under another it counts for nothing.
    kept: Cache<String, (u64, Arc<Face>)>,
    /// Images that were made small, by face and side, with the version as above; none of those that are not made small.
    small: Cache<(String, u32), (u64, Option<Bytes>)>,
    /// Version of the tombstones when somebody looked last.
    forgotten: Arc<AtomicU64>,
}

impl Pictures {
    /// None yet.
    pub fn new(corpus: &Corpus) -> Self {
        let weigh =
            |_: &String, (_, face): &(u64, Arc<Face>)| u32::try_from(face.image.len() + AROUND).unwrap_or(u32::MAX);
        let kept = Cache::builder().max_capacity(BYTES).weigher(weigh).build();
        let weigh = |_: &(String, u32), (_, small): &(u64, Option<Bytes>)| {
            u32::try_from(small.as_ref().map_or(0, Bytes::len) + AROUND).unwrap_or(u32::MAX)
        };
        let small = Cache::builder().max_capacity(SMALL_BYTES).weigher(weigh).build();
        Self { corpus: corpus.clone(), kept, small, forgotten: Arc::default() }
    }

    /// The face with its image.
    ///
    /// # Errors
    /// As [`Corpus::face`].
    pub async fn face(&self, face_id: &str) -> Result<Arc<Face>> {
        let version = self.check().await?;
        if let Some((_, face)) = self.kept.get(face_id).filter(|(read, _)| *read == version) {
            return Ok(face);
        }
        let face = Arc::new(self.corpus.face(face_id).await?);
        self.keep(version, vec![face.clone()]).await?;
        Ok(face)
    }

    /// The image of a face that was just asked for, at most `side` pixels wide and high, which `make` makes where it is
    /// not here yet; none where it makes none.
    pub async fn small<M>(&self, face: &Face, side: u32, make: M) -> Result<Option<Bytes>>
    where
        M: Future<Output = Result<Option<Vec<u8>>>>,
    {
        // Whoever asked for the face has looked.
        let version = self.forgotten.load(Ordering::SeqCst);
        let key = (face.face_id.clone(), side);
        if let Some((_, small)) = self.small.get(&key).filter(|(made, _)| *made == version) {
            return Ok(small);
        }
        let small = make.await?.map(Bytes::from);
        if self.corpus.forgotten(&[face.face_id.as_str()]).await? == [false] {
            self.small.insert(key, (version, small.clone()));
        }
        Ok(small)
    }

    /// Those of these ids that the corpus does not have.
    pub async fn missing(&self, face_ids: &[&str]) -> Result<Vec<String>> {
        let version = self.check().await?;
        let unknown: Vec<&str> = face_ids.iter().copied().filter(|id| !self.has(id, version)).collect();
        let asked: Vec<&str> = unknown.iter().copied().filter(|id| is_face_id(id)).collect();
        let stored: HashSet<String> = match asked.is_empty() {
            true => HashSet::new(),
            false => self.corpus.stored_faces(&asked).await?,
        };
        Ok(unknown.into_iter().filter(|id| !stored.contains(*id)).map(str::to_owned).collect())
    }

    /// Reads these faces, those of them that are not here yet, many together and the first of them first; not more than
    /// would push each other out.
    pub async fn fetch(&self, face_ids: impl Iterator<Item = &str>) -> Result<()> {
        let version = self.check().await?;
        let unknown: Vec<&str> = face_ids.filter(|id| is_face_id(id) && !self.has(id, version)).collect();
        let mut bytes = 0;
        for some in unknown.chunks(TOGETHER) {
            let ids = some.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
            let faces = self.corpus.snapshot().await?.rows::<Face>(Some(&format!("face_id IN ({ids})"))).await?;
            bytes += faces.iter().map(|face| (face.image.len() + AROUND) as u64).sum::<u64>();
            self.keep(version, faces.into_iter().map(Arc::new).collect()).await?;
            if bytes > BYTES / 2 {
                break;
            }
        }
        Ok(())
    }

    fn has(&self, face_id: &str, version: u64) -> bool {
        self.kept.get(face_id).is_some_and(|(read, _)| read == version)
    }

    /// Throws everything away if anything was forgotten since it was read; the version that holds for what is read now.
    async fn check(&self) -> Result<u64> {
        let version = self.corpus.log().latest(TableId::Tombstones).await?.version().version;
        if self.forgotten.swap(version, Ordering::SeqCst) != version {
            self.kept.invalidate_all();
            self.small.invalidate_all();
        }
        Ok(version)
    }

    /// Remembers faces that were read under this version of the tombstones. A face has a tombstone before it is gone
    /// from the tables: one that is just being forgotten is not remembered.
    async fn keep(&self, version: u64, faces: Vec<Arc<Face>>) -> Result<()> {
        let ids: Vec<&str> = faces.iter().map(|face| face.face_id.as_str()).collect();
        let forgotten = self.corpus.forgotten(&ids).await?;
        for (face, _) in faces.iter().zip(forgotten).filter(|(_, forgotten)| !forgotten) {
            self.kept.insert(face.face_id.clone(), (version, face.clone()));
        }
        Ok(())
    }
}
