//! `verify` reads everything back.
//!
//! In: a corpus. Out: a report of what is there and every finding: images that no longer hash to their id, ids that
//! point nowhere, rows of rounds that never finished, markers whose versions or checkpoints are gone. Lance's data pages
//! carry no checksums, so the images are hashed again; that is the point of the whole. What it reads is pinned meanwhile.
//! On request it mends what can be mended without losing anything that was acknowledged.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures::TryStreamExt;
use lance::Dataset;

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::locks::{Lock, Purpose};
use crate::log::Change;
use crate::pins;
use crate::session::{Session, SqlLimits, SqlRuntime};
use crate::snapshot::Snapshot;
use crate::table::TableId;
use crate::tables::rounds::Round;

/// What to verify, and what to do about it.
#[derive(Clone, Copy, Debug)]
pub struct VerifyOptions {
    /// Part of the images that is hashed, 0 to 1; which, is drawn anew each time.
    pub sample: f64,
    /// Mend what can be mended safely.
    pub repair: bool,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self { sample: 1.0, repair: false }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// Short stable code, such as `hash_differs`.
    pub code: &'static str,
    /// Table it was found in.
    pub table: TableId,
    /// The round it belongs to, where it belongs to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
    /// What, for people.
    pub detail: String,
}

/// What was read, and what was found.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct VerifyReport {
    /// Images hashed.
    pub faces: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows and version of every table.
    pub tables: Vec<(TableId, u64, u64)>,
    /// Rounds with a marker.
    pub rounds: usize,
    /// A round that was killed and will be resumed.
    pub unfinished_round: Option<u32>,
    /// Files that repair has set aside at some time.
    pub set_aside: Vec<PathBuf>,
    /// Everything found, without what was mended.
    pub findings: Vec<Finding>,
    /// What was mended.
    pub repaired: Vec<String>,
}

impl VerifyReport {
    /// Nothing found.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn found(&mut self, code: &'static str, table: TableId, detail: impl Into<String>) {
        self.findings.push(Finding { code, table, round: None, detail: detail.into() });
    }

    fn found_in(&mut self, round: u32, code: &'static str, table: TableId, detail: impl Into<String>) {
        self.findings.push(Finding { code, table, round: Some(round), detail: detail.into() });
    }
}

/// Tag of what is being verified.
const PIN: &str = "verify";

/// The check for faces with several rows.
const COPIES: &str = "duplicate_face";

/// Named checks in SQL: each counts rows that should not exist.
const CHECKS: &[(&str, TableId, &str, &str)] = &[
    (
        COPIES,
        TableId::Faces,
        "face ids stored more than once",
        "select count(*) as n from (select face_id from faces group by face_id having count(*) > 1)",
    ),
    (
        "dangling_face",
        TableId::Sightings,
        "sightings of faces that are not stored",
        "select count(*) as n from sightings s left anti join faces f on s.face_id = f.face_id where s.face_id is not null",
    ),
    (
        "dangling_face",
        TableId::Labels,
        "labels of faces that are not stored",
        "select count(*) as n from labels l left anti join faces f on l.face_id = f.face_id",
    ),
    (
        "duplicate_label",
        TableId::Labels,
        "label ids stored more than once",
        "select count(*) as n from (select label_id from labels group by label_id having count(*) > 1)",
    ),
    (
        "dangling_label",
        TableId::Labels,
        "rows that take back a label that is not stored",
        "select count(*) as n from labels a left anti join labels b on a.retracts = b.label_id where a.retracts is not null",
    ),
    (
        "dangling_face",
        TableId::Predictions,
        "predictions of faces that are not stored",
        "select count(*) as n from predictions p left anti join faces f on p.face_id = f.face_id",
    ),
    (
        "bad_value",
        TableId::Predictions,
        "predictions with a confidence outside 0..1 or a subset that does not follow from the margin",
        "select count(*) as n from predictions where not (confidence >= 0 and confidence <= 1.0001) \
         or (subset = 'I') <> (confidence >= margin) or subset not in ('I', 'II')",
    ),
    (
        "bad_value",
        TableId::Labels,
        "labels whose class the corpus does not have",
        "select count(*) as n from labels l left anti join classes c on l.expression = c.expression \
         where l.expression is not null",
    ),
    (
        "dangling_face",
        TableId::QueueEntries,
        "queue entries of faces that are not stored",
        "select count(*) as n from queue_entries q left anti join faces f on q.face_id = f.face_id",
    ),
    (
        "dangling_face",
        TableId::Embeddings,
        "embeddings of faces that are not stored",
        "select count(*) as n from embeddings e left anti join faces f on e.face_id = f.face_id",
    ),
];

impl Corpus {
    /// Reads everything back; `progress` is told the images hashed and their total.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process verifies.
    pub async fn verify(
        &self,
        sql: &SqlRuntime,
        options: VerifyOptions,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<VerifyReport> {
        let lock = Lock::take(self.home(), Purpose::Verify).await?;
        let snapshot = self.snapshot().await?;
        self.pin(PIN, &snapshot.versions()).await?;
        let checked = self.check(&snapshot, sql, options, progress).await;
        self.unpin(PIN).await?;
        let mut report = checked?;
        if options.repair {
            self.mend(&mut report).await?;
        }
        lock.release().await;
        Ok(report)
    }

    async fn check(
        &self,
        snapshot: &Arc<Snapshot>,
        sql: &SqlRuntime,
        options: VerifyOptions,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        for table in TableId::ALL {
            self.check_table(snapshot, *table, &mut report).await?;
        }
        report.set_aside = self.set_aside()?;
        check_images(snapshot, options.sample, &mut report, progress).await?;
        let session = Session::open(sql, snapshot.clone(), SqlLimits::default()).await?;
        // Copies that are let in are no fault: maintenance removes them.
        let may_hold_copies = self.may_hold_copies(snapshot)?;
        for (code, table, what, query) in CHECKS.iter().filter(|(code, ..)| !may_hold_copies || *code != COPIES) {
            let rows: Vec<Count> = session.query_trusted(query, Vec::new()).await?.rows().await?;
            let n = rows.first().map_or(0, |row| row.n);
            if n > 0 {
                report.found(code, *table, format!("{n} {what}"));
            }
        }
        self.check_rounds(snapshot, &mut report).await?;
        Ok(report)
    }

    /// Mends what can be mended: left-over rows and files of the dead, pins that hold nothing.
    async fn mend(&self, report: &mut VerifyReport) -> Result<()> {
        self.sweep().await?;
        report.repaired.push("files that no version names were removed".to_owned());
        let mut left = Vec::new();
        for finding in std::mem::take(&mut report.findings) {
            let mended = match (finding.code, finding.round) {
                ("orphan", _) => self.remove_orphans(finding.table).await?,
                (COPIES, _) => self.remove_all_copies().await? > 0,
                ("missing_pin" | "missing_version", Some(round)) => {
                    self.unpin(&pins::read_tag(round)).await?;
                    self.unpin(&pins::round_tag(round)).await?;
                    true
                }
                _ => false,
            };
            match mended {
                true => report.repaired.push(format!("{} in {}: {}", finding.code, finding.table, finding.detail)),
                false => left.push(finding),
            }
        }
        report.findings = left;
        Ok(())
    }

    /// Removes rows of rounds that never finished, if no round is under way.
    async fn remove_orphans(&self, table: TableId) -> Result<bool> {
        let Ok(lock) = Lock::take(self.home(), Purpose::Round).await else { return Ok(false) };
        let now = self.snapshot().await?;
        if let Some(filter) = orphans(now.rounds(), self.planned_round(now.rounds()).await?) {
            self.log().commit(table, Change::Delete(filter)).await?;
        }
        lock.release().await;
        Ok(true)
    }

    /// Lance's own checks and the row count of a full pass over the small columns.
    async fn check_table(&self, snapshot: &Snapshot, table: TableId, report: &mut VerifyReport) -> Result<()> {
        let dataset = snapshot.open(table)?.clone();
        let version = dataset.version().version;
        // A damaged file may panic inside Lance: a task of its own turns that into a finding.
        let task = tokio::spawn(async move {
            dataset.validate().await?;
            let counted = dataset.count_rows(None).await? as u64;
            let read = count_by_reading(&dataset, table).await?;
            Ok::<_, lance::Error>((counted, read))
        });
        match task.await {
            Ok(Ok((counted, read))) => {
                report.tables.push((table, counted, version));
                if counted != read {
                    report.found("row_count", table, format!("{counted} rows by its manifest, {read} when read"));
                }
            }
            Ok(Err(error)) => report.found("unreadable", table, error.to_string()),
            Err(panic) => report.found("unreadable", table, format!("reading it panicked: {panic}")),
        }
        Ok(())
    }

    async fn check_rounds(&self, snapshot: &Snapshot, report: &mut VerifyReport) -> Result<()> {
        let rounds = snapshot.rounds();
        report.rounds = rounds.len();
        report.unfinished_round = self.planned_round(rounds).await?;
        for table in TableId::ALL.iter().filter(|table| table.is_round_scoped()) {
            let orphans = snapshot.count(*table, orphans(rounds, report.unfinished_round).as_deref()).await?;
            if orphans > 0 {
                report.found("orphan", *table, format!("{orphans} rows of rounds that never finished"));
            }
        }
        let kept = pins::kept_rounds(snapshot.open(TableId::Rounds)?).await?;
        for round in rounds {
            if kept.contains(&round.round) {
                self.check_pins(snapshot, round, report).await?;
            }
            self.check_checkpoint(round, report).await?;
        }
        Ok(())
    }

    /// Every pinned version must open.
    async fn check_pins(&self, snapshot: &Snapshot, round: &Round, report: &mut VerifyReport) -> Result<()> {
        for table in TableId::ALL {
            let dataset = snapshot.open(*table)?;
            let Some(version) = pins::version(dataset, *table, &pins::round_tag(round.round)).await? else {
                let what = format!("round {} does not pin its version", round.round);
                report.found_in(round.round, "missing_pin", *table, what);
                continue;
            };
            if let Err(error) = dataset.checkout_version(version).await {
                let what = format!("version {version}, pinned by round {}, does not open: {error}", round.round);
                report.found_in(round.round, "missing_version", *table, what);
            }
        }
        Ok(())
    }

    async fn check_checkpoint(&self, round: &Round, report: &mut VerifyReport) -> Result<()> {
        let file = self.checkpoint(round).await?.join("teacher.safetensors");
        let mut hasher = blake3::Hasher::new();
        match std::fs::File::open(&file).and_then(|mut opened| std::io::copy(&mut opened, &mut hasher)) {
            Ok(_) if hasher.finalize().to_hex().as_str() == round.checkpoint_hash => {}
            Ok(_) => {
                let what = format!("checkpoint {} of round {} has another hash", file.display(), round.round);
                report.found("checkpoint_differs", TableId::Rounds, what);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let what = format!("checkpoint {} of round {} is gone", file.display(), round.round);
                report.found("checkpoint_missing", TableId::Rounds, what);
            }
            Err(error) => return Err(Error::io(file)(error)),
        }
        Ok(())
    }
}

/// Rows of rounds that have neither marker nor plan; none where that is every row.
fn orphans(rounds: &[Round], unfinished: Option<u32>) -> Option<String> {
    let known: BTreeSet<u32> = rounds.iter().map(|r| r.round).chain(unfinished).collect();
    let known = known.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    (!known.is_empty()).then(|| format!("round NOT IN ({known})"))
}

#[derive(serde::Deserialize)]
struct Count {
    n: u64,
}

/// The faces whose ids lie in an arc of the given width: ids are hashes, so an arc is a random sample of all places.
fn drawn(sample: f64, start: u32) -> String {
    let width = (sample.clamp(0.0, 1.0) * f64::from(u32::MAX)) as u32;
    let end = start.wrapping_add(width);
    let word = if start <= end { "AND" } else { "OR" };
    format!("face_id >= '{start:08x}' {word} face_id < '{end:08x}'")
}

/// Rows as a scan of every column but the images counts them; images are read when they are hashed.
async fn count_by_reading(dataset: &Arc<Dataset>, table: TableId) -> lance::Result<u64> {
    let columns = table.columns().into_iter().map(|column| column.field.name().clone());
    let columns: Vec<String> =
        columns.filter(|name| name != "image" && dataset.schema().field(name).is_some()).collect();
    let mut scan = dataset.scan();
    scan.project(&columns)?.batch_size(1024).io_buffer_size(64 << 20);
    scan.scan_in_order(false);
    let mut batches = scan.try_into_stream().await?;
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}

/// Hashes every image again, or a random part of them.
async fn check_images(
    snapshot: &Snapshot,
    sample: f64,
    report: &mut VerifyReport,
    progress: &mut (dyn FnMut(u64, u64) + Send),
) -> Result<()> {
    let filter = (sample < 1.0).then(|| drawn(sample, rand::random()));
    let total = snapshot.count(TableId::Faces, filter.as_deref()).await?;
    let look = |id: &str, image: &[u8]| {
        report.faces += 1;
        report.bytes += image.len() as u64;
        if blake3::hash(image).to_hex().as_str() != id {
            report.found("hash_differs", TableId::Faces, format!("the image of face {id} was changed on disk"));
        }
        if report.faces.is_multiple_of(256) || report.faces == total {
            progress(report.faces, total);
        }
    };
    snapshot.for_each_image(filter.as_deref(), look).await
}
