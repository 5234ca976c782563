//! The watcher's memory: which files the corpus has a sighting of.
//!
//! In: keys of files (path, size, time, inode). Out: for each whether `sightings` holds it, so that a rescan reads only
//! what is new. A Bloom filter of fixed size answers for files never seen, the `source` index for the rest.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{TimestampMicrosecondType, UInt64Type};
use fastbloom::BloomFilter;
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::scanner::Scanner;

use crate::columns::Timestamp;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::known::is_in;
use crate::table::{TableId, column};

/// 4 MiB: one false alarm in a hundred at 3.5 million files.
const FILTER_BITS: usize = 4 * 8 * 1024 * 1024;
const FILTER_HASHES: u32 = 7;
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
    filter: BloomFilter,
    covered: HashSet<u64>,
}

impl SeenFiles {
    /// Nothing is read before the first question.
    pub fn new(corpus: &Corpus) -> Self {
        let filter = BloomFilter::with_num_bits(FILTER_BITS).seed(&0x7365_656e).hashes(FILTER_HASHES);
        Self { corpus: corpus.clone(), filter, covered: HashSet::new() }
    }

    /// For each key whether a sighting of it is stored.
    pub async fn seen(&mut self, keys: &[FileKey]) -> Result<Vec<bool>> {
        let sightings = self.corpus.log().latest(TableId::Sightings).await?;
        self.catch_up(&sightings).await?;
        let suspects: Vec<&str> =
            keys.iter().filter(|key| self.filter.contains(*key)).map(|key| key.source.as_str()).collect();
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

    async fn catch_up(&mut self, sightings: &Arc<Dataset>) -> Result<()> {
        let fresh: Vec<_> = sightings.iter_fragments().filter(|f| !self.covered.contains(&f.id)).cloned().collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let mut scan = sightings.scan();
        scan.with_fragments(fresh.clone()).scan_in_order(false).batch_size(4096);
        for_each_key(scan, |key| {
            self.filter.insert(&key);
        })
        .await?;
        self.covered.extend(fresh.iter().map(|f| f.id));
        Ok(())
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
