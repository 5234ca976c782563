//! Which faces the corpus holds already, without holding the corpus in memory.
//!
//! In: rows about to be written. Out: for each whether it is new. A filter of fixed size over all stored ids says "certainly
//! new" for most; for the rest the `face_id` index (and a scan of what it does not cover yet) decides. The
//! look and the commit happen under one file lock, so that two processes on one corpus cannot both be first; in an object
//! store, where a lock would cost more than the commit, the commit itself fails if the same face came in between.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use lance::Dataset;

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
const LOOKUP: usize = 1024;

/// Refuses faces that the corpus holds.
pub struct KnownFaces {
    home: Home,
    log: Arc<dyn Log>,
    reserve_bytes: u64,
    tombstones: Arc<Tombstones>,
    filter: ValueFilter,
    /// Ids let in last, until they are written.
    admitted: Vec<String>,
}

impl KnownFaces {
    /// Nothing is read before the first face comes.
    pub fn new(corpus: &Corpus, log: Arc<dyn Log>) -> Self {
        Self {
            home: corpus.home().clone(),
            log,
            reserve_bytes: corpus.options().reserve_bytes,
            tombstones: corpus.tombstones().clone(),
            filter: ValueFilter::new(TableId::Faces, "face_id", FILTER),
            admitted: Vec::new(),
        }
    }
}

fn ids(batch: &arrow::array::RecordBatch) -> Result<impl Iterator<Item = &str>> {
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
        let lock = Lock::exclusive_async(self.home.folder(), Purpose::Faces).await?;
        let faces = self.log.latest(TableId::Faces).await?;
        self.filter.catch_up(&faces).await?;
        let suspects: Vec<&str> =
            rows.iter().map(|face| face.face_id.as_str()).filter(|id| self.filter.may_hold(id)).collect();
        let known = stored(&faces, &suspects).await?;
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
        self.admitted = ids.iter().zip(&new).filter(|(_, new)| **new).map(|(id, _)| (*id).to_owned()).collect();
        let since = self.home.remote().map(|_| ("face_id", faces));
        Ok(Admitted { written: new, guard: Some(lock), since })
    }

    fn written(&mut self, table: &Dataset) {
        for id in self.admitted.drain(..) {
            self.filter.insert(&id);
        }
        // Under the lock nobody else adds faces: whatever is new in the table are the rows above. In an object store there
        // is no such lock, and the next look reads what is new.
        if self.home.remote().is_none() {
            self.filter.cover(table);
        }
    }
}
