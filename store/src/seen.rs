//! The watcher's memory: which files the corpus has a sighting of.
//!
//! In: keys of files (path, size, time, inode). Out: for each whether `sightings` holds it, so that a rescan reads only
//! what is new. A filter over paths answers for files never seen, the `source` index for the rest.

use std::collections::HashSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{TimestampMicrosecondType, UInt64Type};
use futures::TryStreamExt;
use lance::dataset::scanner::Scanner;

use crate::columns::Timestamp;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::known::is_in;
use crate::table::{TableId, column};
use crate::value_filter::ValueFilter;

/// Bytes of the filter: one false alarm in a hundred at 3.5 million files.
const FILTER: usize = 4 << 20;
const LOOKUP: usize = 1024;

/// What identifies a file that has not changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// Encoded path, as in `sightings.source`.
    pub source: String,
    /// Bytes.
    pub size: u64,
    /// Last change.
    pub mtime: Option<Timestamp>,
    /// Inode.
    pub inode: Option<u64>,
}

/// Remembers files by the table of sightings.
pub struct SeenFiles {
    corpus: Corpus,
    paths: ValueFilter,
}

impl SeenFiles {
    /// Nothing is read before the first question.
    pub fn new(corpus: &Corpus) -> Self {
        Self { corpus: corpus.clone(), paths: ValueFilter::new(TableId::Sightings, "source", FILTER) }
    }

    /// For each key whether a sighting of it is stored.
    pub async fn seen(&mut self, keys: &[FileKey]) -> Result<Vec<bool>> {
        let sightings = self.corpus.log().latest(TableId::Sightings).await?;
        self.paths.catch_up(&sightings).await?;
        let suspects: Vec<&str> =
            keys.iter().map(|key| key.source.as_str()).filter(|s| self.paths.may_hold(s)).collect();
        let mut stored = HashSet::new();
        for chunk in suspects.chunks(LOOKUP) {
            let mut scan = sightings.scan();
            scan.filter(&is_in("source", chunk)).map_err(Error::table(TableId::Sightings))?;
            for_each_key(scan, |key| {
                stored.insert(key);
            })
            .await?;
        }
        Ok(keys.iter().map(|key| stored.contains(key)).collect())
    }
}

async fn for_each_key(mut scan: Scanner, mut take: impl FnMut(FileKey)) -> Result<()> {
    scan.project(&["source", "size", "mtime", "inode"]).map_err(Error::table(TableId::Sightings))?;
    let mut batches = scan.try_into_stream().await.map_err(Error::table(TableId::Sightings))?;
    while let Some(batch) = batches.try_next().await.map_err(Error::table(TableId::Sightings))? {
        let source = column(&batch, TableId::Sightings, "source")?.as_string::<i32>();
        let size = column(&batch, TableId::Sightings, "size")?.as_primitive::<UInt64Type>();
        let mtime = column(&batch, TableId::Sightings, "mtime")?.as_primitive::<TimestampMicrosecondType>();
        let inode = column(&batch, TableId::Sightings, "inode")?.as_primitive::<UInt64Type>();
        for i in 0..batch.num_rows() {
            take(FileKey {
                source: source.value(i).to_owned(),
                size: size.value(i),
                mtime: mtime.is_valid(i).then(|| Timestamp(mtime.value(i))),
                inode: inode.is_valid(i).then(|| inode.value(i)),
            });
        }
    }
    Ok(())
}
