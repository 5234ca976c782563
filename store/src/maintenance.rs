//! Background care of the tables: clean up, compact, index.
//!
//! In: a corpus that is being written. Out: few fragments, indices that cover them, one row for each face, and no
//! versions beyond those that are young or pinned, as far as the clock can be trusted. Clean-up comes first in a pass,
//! so that what a compaction replaced lives on until the next one and no reader in mid-scan loses its files.
//!
//! One process of all machines does it at a time. One that slept stops at the next change, and the one it was at does
//! no harm: a commit that rewrites what another has rewritten meanwhile fails, and what clean-up chose to remove nobody
//! has named since.

use std::time::Duration;

use crate::columns::Timestamp;
use crate::compaction;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::locks::{Lock, Purpose};
use crate::log::{Change, IndexKind};
use crate::table::TableId;

/// Fragments from which a compaction pays.
const COMPACT_FROM: usize = 16;

/// Rows up to which a fragment is compacted with its like first: what came in last is put together often, and what is large
/// already is seldom written again.
const FEW_ROWS: usize = 4096;

/// Fragments of few rows from which every question pays for opening them.
const CROWDED_FROM: usize = 64;

/// Rows that an index may leave uncovered.
const INDEX_FROM_ROWS: usize = 4096;

/// What a pass is to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Care {
    /// Versions older than this go, unless pinned; `None` leaves them.
    pub clean_up: Option<Duration>,
    /// How far it goes.
    pub effort: Effort,
}

/// How far a pass goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Only what cannot wait for its turn: tables whose fragments of few rows pile up.
    Hasty,
    /// What pays.
    #[default]
    Usual,
    /// All of it, however little there is to gain.
    Thorough,
}

/// What a pass did.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct CareReport {
    /// Tables compacted.
    pub compacted: Vec<TableId>,
    /// Copies of faces removed.
    pub copies: usize,
    /// Indices built or extended.
    pub indexed: Vec<String>,
    /// Tables whose old versions were removed.
    pub cleaned: Vec<TableId>,
    /// Why no old version was removed, though it was time.
    pub not_cleaned: Option<String>,
}

/// Which columns have an index.
pub const INDICES: &[(TableId, &str, IndexKind)] = &[
    (TableId::Faces, "face_id", IndexKind::BTree),
    (TableId::Sightings, "source", IndexKind::BTree),
    (TableId::Sightings, "face_id", IndexKind::BTree),
    (TableId::Labels, "face_id", IndexKind::BTree),
    (TableId::Predictions, "face_id", IndexKind::BTree),
    (TableId::Predictions, "round", IndexKind::Bitmap),
    (TableId::Projections, "round", IndexKind::Bitmap),
];

/// Rows of a fragment: about 1 GB of images, a million of anything else.
pub(crate) fn target_rows(table: TableId) -> usize {
    if table == TableId::Faces { 50_000 } else { 1_000_000 }
}

impl Corpus {
    /// Removes what killed writers left: files that no version names, manifests half written.
    ///
    /// # Errors
    /// [`Error::Locked`] or [`Error::Leased`] while another process is at it.
    pub async fn sweep(&self) -> Result<()> {
        let lock = Lock::take(self.home(), Purpose::Maintenance).await?;
        for table in TableId::ALL {
            lock.check()?;
            self.change(*table, Change::Sweep).await?;
        }
        lock.release().await;
        Ok(())
    }

    /// Whether some table should not wait for its turn.
    pub async fn is_crowded(&self) -> Result<bool> {
        for table in TableId::ALL {
            if self.has_crowded(*table).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn has_crowded(&self, table: TableId) -> Result<bool> {
        let dataset = self.log().latest(table).await?;
        let options = compaction::options(FEW_ROWS, false);
        Ok(dataset.num_small_files(FEW_ROWS).await >= CROWDED_FROM
            && compaction::fragments(&dataset, table, &options).await? >= CROWDED_FROM)
    }

    /// One pass over all tables.
    ///
    /// # Errors
    /// [`Error::Locked`] or [`Error::Leased`] while another process is at it; nothing is lost by trying later.
    pub async fn care(&self, care: Care) -> Result<CareReport> {
        let lock = Lock::take(self.home(), Purpose::Maintenance).await?;
        let mut report = CareReport::default();
        let mut clean_up = care.clean_up;
        if clean_up.is_some() {
            report.not_cleaned = self.clock().fault(self.log().now(), self.newest_commit().await?);
            clean_up = clean_up.filter(|_| report.not_cleaned.is_none());
        }
        for table in TableId::ALL {
            lock.check()?;
            if care.effort == Effort::Hasty && !self.has_crowded(*table).await? {
                continue;
            }
            if let Some(older_than) = clean_up {
                self.change(*table, Change::CleanUp { older_than }).await?;
                report.cleaned.push(*table);
            }
            lock.check()?;
            if self.compact(*table, care.effort).await? {
                report.compacted.push(*table);
            }
            lock.check()?;
            for (_, column, kind) in INDICES.iter().filter(|(of, ..)| of == table) {
                if self.index(*table, column, *kind, care.effort).await? {
                    report.indexed.push(format!("{table}.{column}"));
                }
            }
        }
        if care.effort != Effort::Hasty {
            // With the index as it is now.
            report.copies = self.remove_new_copies(&lock, care.effort == Effort::Thorough).await?;
        }
        lock.release().await;
        Ok(report)
    }

    /// When the newest version of any table was made, by the clock of whoever made it.
    async fn newest_commit(&self) -> Result<Timestamp> {
        let mut newest = Timestamp(i64::MIN);
        for table in TableId::ALL {
            let made = self.log().latest(*table).await?.version().timestamp;
            newest = newest.max(Timestamp(made.timestamp_micros()));
        }
        Ok(newest)
    }

    async fn compact(&self, table: TableId, effort: Effort) -> Result<bool> {
        let (all, thorough) = (target_rows(table), effort == Effort::Thorough);
        let sizes: &[usize] = match effort {
            Effort::Hasty => &[FEW_ROWS],
            Effort::Usual => &[FEW_ROWS, all],
            Effort::Thorough => &[all],
        };
        let mut compacted = false;
        for &target_rows in sizes {
            let dataset = self.log().latest(table).await?;
            let fragments = compaction::fragments(&dataset, table, &compaction::options(target_rows, thorough)).await?;
            if fragments >= if thorough { 1 } else { COMPACT_FROM } {
                self.change(table, Change::Compact { target_rows, every_deletion: thorough }).await?;
                compacted = true;
            }
        }
        Ok(compacted)
    }

    async fn index(&self, table: TableId, column: &'static str, kind: IndexKind, effort: Effort) -> Result<bool> {
        let dataset = self.log().latest(table).await?;
        let rows = dataset.count_rows(None).await.map_err(Error::table(table))?;
        let uncovered = crate::lance_log::uncovered_rows(&dataset, table, column, kind).await?;
        if rows == 0 || uncovered < if effort == Effort::Thorough { 1 } else { INDEX_FROM_ROWS } {
            return Ok(false);
        }
        self.change(table, Change::Index { column, kind, rebuild: false }).await?;
        Ok(true)
    }

    async fn change(&self, table: TableId, change: Change) -> Result<()> {
        self.log().commit(table, change).await.map(drop)
    }
}
