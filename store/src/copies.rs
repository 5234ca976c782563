//! Copies: rows of faces that have an earlier row.
//!
//! In: how the corpus is to be kept free of them, and what came in since the last look. Out: one row for each face, the
//! first by `ingested_at` and `stream`. To look every hash up keeps copies out, for which each process reads all ids;
//! where that is too much they are let in, every view takes a face's first row, and the others are removed in the
//! background. Everything else knows faces by their ids, so nothing refers to the row that goes.
//!
//! What is removed is named by what it says, not by its place, and whoever removes a row has seen an earlier one: the
//! earliest stays, whatever two processes remove that both take themselves for the only one.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use futures::TryStreamExt;
use lance::Dataset;
use lance_table::format::Fragment;
use serde::{Deserialize, Serialize};

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::home::Home;
use crate::known::{LOOKUP, ids, is_in};
use crate::locks::Lock;
use crate::log::Change;
use crate::snapshot::Snapshot;
use crate::table::{TableId, column};

/// Faces up to which `auto` looks up in an object store. Each process reads all ids when it starts, 64 bytes each, and
/// again those of fragments that were merged.
const LOOKED_UP: usize = 1_000_000;

/// Rows that are enough for a look.
const ENOUGH: usize = 4096;

/// Rows from which a look is no longer.
const ROWS_A_PASS: usize = 100_000;

/// Copies that one commit removes.
const REMOVED_AT_ONCE: usize = 1024;

/// Key, in the metadata of table `faces`, of the last fragment that was looked at: up to it no face has two rows. Where
/// there is none, no copy was ever looked for.
const LOOKED_AT: &str = "marginalia:without_copies_to";

/// How a face is kept from being stored twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dedup {
    /// Every hash is looked up before it is written.
    Lookup,
    /// It is not: views take the first row, and maintenance removes the others.
    View,
    /// As `Lookup`, but as `View` in an object store where there are too many faces for it.
    #[default]
    Auto,
}

impl Dedup {
    /// Whether hashes are looked up before they are written to this table.
    pub(crate) fn looks_up(self, home: &Home, faces: &Dataset) -> bool {
        match self {
            Self::Lookup => true,
            Self::View => false,
            Self::Auto => home.remote().is_none() || rows(faces.fragments()) <= LOOKED_UP,
        }
    }

    /// Whether the table may hold copies: because they are let in, or were when it was looked for them.
    fn lets_in(self, home: &Home, faces: &Dataset) -> bool {
        !self.looks_up(home, faces) || faces.metadata().contains_key(LOOKED_AT)
    }
}

/// A row of `faces`, by what tells it from others of its face.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    face_id: String,
    ingested_at: i64,
    stream: String,
}

impl Row {
    /// What it has in common with those that came with it.
    fn batch(&self) -> (i64, &str) {
        (self.ingested_at, &self.stream)
    }
}

impl Corpus {
    /// Whether table `faces` may hold copies that maintenance has not removed yet.
    pub fn may_hold_copies(&self, snapshot: &Snapshot) -> Result<bool> {
        Ok(self.options().dedup.lets_in(self.home(), snapshot.open(TableId::Faces)?))
    }

    /// Looks at what came in since the last look, once that is enough, and removes the copies; how many there were. A
    /// thorough pass looks at all of it, however little; not at what comes in meanwhile, or it might never end.
    pub(crate) async fn remove_new_copies(&self, care: &Lock, thorough: bool) -> Result<usize> {
        let faces = self.log().latest(TableId::Faces).await?;
        if !self.options().dedup.lets_in(self.home(), &faces) {
            return Ok(0);
        }
        let last = faces.metadata().get(LOOKED_AT).and_then(|id| id.parse::<u64>().ok());
        let mut new: Vec<Fragment> =
            faces.iter_fragments().filter(|fragment| last.is_none_or(|last| fragment.id > last)).cloned().collect();
        if !thorough && rows(&new) < ENOUGH {
            return Ok(0);
        }
        // Ids of fragments only grow, so what one pass leaves is behind what it took.
        new.sort_unstable_by_key(|fragment| fragment.id);
        let mut taken = 0;
        let goes_on = |one: &Fragment, _: &Fragment| {
            let before = taken;
            taken += one.physical_rows.unwrap_or(0);
            before / ROWS_A_PASS == taken / ROWS_A_PASS
        };
        let passes: Vec<&[Fragment]> = new.chunk_by(goes_on).collect();
        let mut removed = 0;
        for pass in passes.into_iter().take(if thorough { usize::MAX } else { 1 }) {
            care.check()?;
            removed += self.remove_copies(pass.to_vec()).await?;
            let value = pass.last().map_or(0, |fragment| fragment.id).to_string();
            self.log().commit(TableId::Faces, Change::Note { key: LOOKED_AT, value }).await?;
        }
        Ok(removed)
    }

    /// Removes every copy, whenever it came in.
    pub(crate) async fn remove_all_copies(&self) -> Result<usize> {
        let mut removed = 0;
        for fragment in self.log().latest(TableId::Faces).await?.iter_fragments() {
            removed += self.remove_copies(vec![fragment.clone()]).await?;
        }
        Ok(removed)
    }

    /// Removes the copies of the faces in these fragments, wherever in the table they are.
    async fn remove_copies(&self, among: Vec<Fragment>) -> Result<usize> {
        let faces = self.log().latest(TableId::Faces).await?;
        let mut wanted = Vec::new();
        let mut scan = faces.scan();
        scan.with_fragments(among).project(&["face_id"]).map_err(Error::table(TableId::Faces))?;
        let mut batches = scan.try_into_stream().await.map_err(Error::table(TableId::Faces))?;
        while let Some(batch) = batches.try_next().await.map_err(Error::table(TableId::Faces))? {
            wanted.extend(ids(&batch)?.map(str::to_owned));
        }
        // In order the index is asked for neighbours.
        wanted.sort_unstable();
        wanted.dedup();
        let mut copies: Vec<Row> = Vec::new();
        for some in wanted.chunks(LOOKUP) {
            copies.extend(copies_of(&faces, some).await?);
        }
        // What came together lies together: a commit changes few fragments.
        copies.sort_unstable_by(|a, b| a.batch().cmp(&b.batch()));
        for some in copies.chunks(REMOVED_AT_ONCE) {
            self.log().commit(TableId::Faces, Change::Delete(are(some))).await?;
        }
        Ok(copies.len())
    }
}

fn rows(fragments: &[Fragment]) -> usize {
    fragments.iter().map(|fragment| fragment.physical_rows.unwrap_or(0)).sum()
}

/// The rows of these faces that are not the first of theirs. Rows that are alike in everything count as one: none of
/// them would stay if one were removed.
async fn copies_of(faces: &Arc<Dataset>, face_ids: &[String]) -> Result<Vec<Row>> {
    let face_ids: Vec<&str> = face_ids.iter().map(String::as_str).collect();
    let mut rows = Vec::new();
    let mut scan = faces.scan();
    scan.filter(&is_in("face_id", &face_ids)).map_err(Error::table(TableId::Faces))?;
    scan.project(&["face_id", "ingested_at", "stream"]).map_err(Error::table(TableId::Faces))?;
    let mut batches = scan.try_into_stream().await.map_err(Error::table(TableId::Faces))?;
    while let Some(batch) = batches.try_next().await.map_err(Error::table(TableId::Faces))? {
        let times = column(&batch, TableId::Faces, "ingested_at")?.as_primitive::<TimestampMicrosecondType>();
        let streams = column(&batch, TableId::Faces, "stream")?.as_string::<i32>();
        for ((face_id, time), stream) in ids(&batch)?.zip(times.values()).zip(streams.iter().flatten()) {
            rows.push(Row { face_id: face_id.to_owned(), ingested_at: *time, stream: stream.to_owned() });
        }
    }
    rows.sort_unstable();
    rows.dedup();
    Ok(rows.chunk_by(|a, b| a.face_id == b.face_id).flat_map(|face| face.iter().skip(1)).cloned().collect())
}

/// The predicate that a row is one of these, which are in the order of their batches.
fn are(rows: &[Row]) -> String {
    let face_in = |rows: &[Row]| {
        let face_ids: Vec<&str> = rows.iter().map(|row| row.face_id.as_str()).collect();
        is_in("face_id", &face_ids)
    };
    let of_batch = |rows: &[Row]| {
        let (at, stream) = rows[0].batch();
        let at = format!("arrow_cast({at}, 'Timestamp(Microsecond, Some(\"UTC\"))')");
        format!("({} AND ingested_at = {at} AND stream = '{}')", face_in(rows), stream.replace('\'', "''"))
    };
    let any: Vec<String> = rows.chunk_by(|a, b| a.batch() == b.batch()).map(of_batch).collect();
    // The index answers the first part, what it leaves is few.
    format!("{} AND ({})", face_in(rows), any.join(" OR "))
}
