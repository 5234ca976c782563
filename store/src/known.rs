//! Which faces the corpus holds already, without holding the corpus in memory.
//!
//! In: rows about to be written. Out: for each whether it is new. A filter of fixed size over all stored ids says "certainly
//! new" for most; for the rest the `face_id` index (and a scan of what it does not cover yet) decides. The
//! look and the commit happen under one file lock, so that two processes on one corpus cannot both be first; in an object
//! store, where a lock would cost more than the commit, the commit itself fails if the same face came in between. Where
//! that is too much (`copies.rs`) only those are refused that come twice in one commit.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use lance::Dataset;

use crate::copies::Dedup;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::locks::{Lock, Purpose};
use crate::log::Log;
use crate::room;
use crate::table::TableId;
use crate::tables::faces::Face;
use crate::tombstones::Tombstones;
use crate::value_filter::ValueFilter;
use crate::writer::{Admit, Admitted};

/// Bytes of the filter: one false alarm in a hundred at 14 million faces.
const FILTER: usize = 16 << 20;

/// Ids asked of the index at a time.
pub(crate) const LOOKUP: usize = 1024;

/// Refuses faces that the corpus holds.
pub struct KnownFaces {
    home: Home,
    log: Arc<dyn Log>,
    dedup: Dedup,
    reserve_bytes: u64,
    tombstones: Arc<Tombstones>,
    filter: ValueFilter,
    /// Ids looked up and let in last, until they are written; none where nothing was looked up.
    admitted: Option<Vec<String>>,
}

impl KnownFaces {
    /// Nothing is read before the first face comes.
    pub fn new(corpus: &Corpus, log: Arc<dyn Log>) -> Self {
        Self {
            home: corpus.home().clone(),
            log,
            dedup: corpus.options().dedup,
            reserve_bytes: corpus.options().reserve_bytes,
            tombstones: corpus.tombstones().clone(),
            filter: ValueFilter::new(TableId::Faces, "face_id", FILTER),
            admitted: None,
        }
    }

    /// Which of the rows the table holds.
    async fn look_up(&mut self, rows: &[Face], faces: &Arc<Dataset>) -> Result<HashSet<String>> {
        self.filter.catch_up(faces).await?;
        let suspects: Vec<&str> =
            rows.iter().map(|face| face.face_id.as_str()).filter(|id| self.filter.may_hold(id)).collect();
        stored(faces, &suspects).await
    }
}

/// The ids in a batch of faces.
pub(crate) fn ids(batch: &arrow::array::RecordBatch) -> Result<impl Iterator<Item = &str>> {
    use arrow::array::AsArray;
    let column = crate::table::column(batch, TableId::Faces, "face_id")?;
    Ok(column.as_string::<i32>().iter().flatten())
}

/// Which of these ids the table holds.
pub(crate) async fn stored(faces: &Arc<Dataset>, wanted: &[&str]) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for chunk in wanted.chunks(LOOKUP) {
        let mut scan = faces.scan();
        scan.filter(&is_in("face_id", chunk)).map_err(Error::table(TableId::Faces))?;
        scan.project(&["face_id"]).map_err(Error::table(TableId::Faces))?;
        let mut batches = scan.try_into_stream().await.map_err(Error::table(TableId::Faces))?;
        while let Some(batch) = batches.try_next().await.map_err(Error::table(TableId::Faces))? {
            found.extend(ids(&batch)?.map(str::to_owned));
        }
    }
    Ok(found)
}

/// `column IN ('a', 'b')`, quoted.
pub(crate) fn is_in(column: &str, values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
    format!("{column} IN ({})", quoted.join(", "))
}

#[async_trait]
impl Admit<Face> for KnownFaces {
    async fn admit(&mut self, rows: &[Face]) -> Result<Admitted> {
        let mut guard = match self.dedup {
            Dedup::View => None,
            _ => Some(Lock::exclusive_async(self.home.folder(), Purpose::Faces).await?),
        };
        let faces = self.log.latest(TableId::Faces).await?;
        let looks_up = self.dedup.looks_up(&self.home, &faces);
        let known = match looks_up {
            true => self.look_up(rows, &faces).await?,
            false => {
                guard = None;
                HashSet::new()
            }
        };
        let ids: Vec<&str> = rows.iter().map(|face| face.face_id.as_str()).collect();
        let forgotten = self.tombstones.hold(&self.home, self.log.as_ref(), &ids).await?;
        let mut batch = HashSet::new();
        let new =
            ids.iter().zip(forgotten).map(|(id, forgotten)| !forgotten && !known.contains(*id) && batch.insert(*id));
        let new: Vec<bool> = new.collect();
        let bytes = rows.iter().zip(&new).filter(|(_, new)| **new).map(|(face, _)| face.image.len() as u64).sum();
        if bytes > 0 && self.home.remote().is_none() {
            room::check(self.home.folder(), self.reserve_bytes, bytes)?;
        }
        let let_in = ids.iter().zip(&new).filter(|(_, new)| **new).map(|(id, _)| (*id).to_owned());
        self.admitted = looks_up.then(|| let_in.collect());
        let since = self.home.remote().filter(|_| looks_up).map(|_| ("face_id", faces));
        Ok(Admitted { written: new, guard, since })
    }

    async fn written(&mut self) -> Result<()> {
        let Some(admitted) = self.admitted.take() else { return Ok(()) };
        for id in admitted {
            self.filter.insert(&id);
        }
        // Under the lock nobody else adds faces: whatever is new in the table are the rows above. In an object store there
        // is no such lock, and the next look reads what is new.
        if self.home.remote().is_none() {
            self.filter.cover(self.log.latest(TableId::Faces).await?.as_ref());
        }
        Ok(())
    }
}
