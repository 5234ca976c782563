//! The stream: synthetic faces written into a folder as a camera or a crawler would, and their hidden truth.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use marginalia_datasets::{Classes, SyntheticFaces, face_id};
use marginalia_store::Corpus;
use marginalia_store::tables::truth::Truth;

use crate::error::{Error, Result};

/// Faces written, and their truth stored, at a time.
const BATCH: u64 = 256;

/// Writes faces into the watched folder.
pub struct Stream {
    corpus: Corpus,
    faces: SyntheticFaces,
    inbox: PathBuf,
    sent: AtomicU64,
}

impl Stream {
    /// A stream into `inbox`, which is made here.
    pub fn new(corpus: &Corpus, classes: &Classes, side: u32, seed: u64, inbox: &Path) -> Result<Self> {
        std::fs::create_dir_all(inbox).map_err(Error::io(inbox))?;
        Ok(Self {
            corpus: corpus.clone(),
            faces: SyntheticFaces::new(seed, side, classes),
            inbox: inbox.to_owned(),
            sent: AtomicU64::new(0),
        })
    }

    /// Writes faces until so many have been written in all.
    pub async fn send(&self, total: u64) -> Result<()> {
        loop {
            let first = self.sent.load(Ordering::Relaxed);
            if first >= total {
                return Ok(());
            }
            let end = (first + BATCH).min(total);
            let (faces, inbox) = (self.faces.clone(), self.inbox.clone());
            let rows =
                tokio::task::spawn_blocking(move || write(&faces, &inbox, first..end)).await.map_err(Error::task)??;
            self.corpus.writer::<Truth>().append(rows).await?;
            self.sent.store(end, Ordering::Relaxed);
        }
    }
}

fn write(faces: &SyntheticFaces, inbox: &Path, indices: std::ops::Range<u64>) -> Result<Vec<Truth>> {
    indices
        .map(|index| {
            let face = faces.face(index);
            let png = face.png();
            let path = inbox.join(format!("face-{index:08}.png"));
            std::fs::write(&path, &png).map_err(Error::io(&path))?;
            Ok(Truth { face_id: face_id(&png), expression: face.class })
        })
        .collect()
}

/// Writes faces into folders by class.
pub fn write_labelled(folder: &Path, classes: &Classes, side: u32, seed: u64, count: u64) -> Result<()> {
    let faces = SyntheticFaces::new(seed, side, classes);
    for index in 0..count {
        let face = faces.face(index);
        let class = folder.join(&face.class);
        std::fs::create_dir_all(&class).map_err(Error::io(&class))?;
        let path = class.join(format!("{index:08}.png"));
        std::fs::write(&path, face.png()).map_err(Error::io(&path))?;
    }
    Ok(())
}
