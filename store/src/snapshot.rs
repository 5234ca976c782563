//! A snapshot: every table opened at one vector of versions.
//!
//! In: a corpus, or a corpus and a round. Out: datasets that never change under the reader. `rounds` is opened first: all
//! that a marker stands for was written before it, so the later tables hold at least that. `faces` is opened last: a row
//! that names a face was written after the face, so no snapshot holds an id without its face.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::UInt64Type;
use futures::TryStreamExt;
use lance::Dataset;
use lance::dataset::ProjectionRequest;

use crate::corpus::{Audit, Corpus};
use crate::error::{Error, Result};
use crate::pins;
use crate::table::{Table, TableId, column};
use crate::tables::erasures::Erasure;
use crate::tables::rounds::Round;

/// Version of every table.
pub type Versions = BTreeMap<TableId, u64>;

/// Tables at one vector of versions.
#[derive(Clone)]
pub struct Snapshot {
    datasets: BTreeMap<TableId, Arc<Dataset>>,
    rounds: Vec<Round>,
    classes: Vec<String>,
    audit: Audit,
    judgements_per_face: u32,
    /// A round whose predictions the view `candidates` shows before its marker stands.
    candidates: Option<u32>,
}

impl Corpus {
    /// Everything committed so far.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        let mut datasets = BTreeMap::new();
        let before_faces = TableId::ALL.iter().filter(|table| **table != TableId::Faces);
        for table in before_faces.chain(&[TableId::Faces]) {
            datasets.insert(*table, self.log().latest(*table).await?);
        }
        Snapshot::over(datasets, self).await
    }

    /// The tables as they were when the marker of `round` was committed.
    pub async fn snapshot_at_round(&self, round: u32) -> Result<Arc<Snapshot>> {
        let now = self.snapshot().await?;
        if !now.rounds.iter().any(|r| r.round == round) {
            return Err(Error::NoSuchRound { round, known: known_rounds(&now.rounds) });
        }
        let mut datasets = BTreeMap::new();
        for table in TableId::ALL {
            let latest = now.open(*table)?;
            let Some(version) = pins::version(latest, *table, &pins::round_tag(round)).await? else {
                // `rounds` is pinned last: with it pinned, a table without a pin is younger than the round, and empty there.
                if *table != TableId::Rounds
                    && pins::version(now.open(TableId::Rounds)?, TableId::Rounds, &pins::round_tag(round))
                        .await?
                        .is_some()
                {
                    continue;
                }
                return Err(self.not_kept(round, now.open(TableId::Rounds)?).await?);
            };
            let dataset = latest.checkout_version(version).await.map_err(Error::table(*table))?;
            datasets.insert(*table, Arc::new(dataset));
        }
        Snapshot::over(datasets, self).await
    }

    /// The tables as a finished round read them: what it takes to run it again.
    ///
    /// # Errors
    /// [`Error::NoSuchRound`]; [`Error::RoundNotKept`] where they were cleaned up or a face in them was forgotten.
    pub async fn snapshot_read_by(&self, round: u32) -> Result<Arc<Snapshot>> {
        let now = self.snapshot().await?;
        let marker = now.round(round)?;
        let rounds = now.open(TableId::Rounds)?;
        if pins::version(rounds, TableId::Rounds, &pins::read_tag(round)).await?.is_none() {
            return Err(self.not_kept(round, rounds).await?);
        }
        self.snapshot_at(&noted_versions(round, &marker.read_versions)?).await
    }

    /// Why a round cannot be looked back at, with those that can.
    pub(crate) async fn not_kept(&self, round: u32, rounds: &Arc<Dataset>) -> Result<Error> {
        let known = match pins::kept_rounds(rounds).await?.as_slice() {
            [] => "none is kept now".to_owned(),
            rounds => format!("kept: {}", list(rounds)),
        };
        let erasures = self.snapshot().await?.rows::<Erasure>(None).await?;
        let erasure = erasures.iter().rfind(|erasure| erasure.rounds.iter().flatten().any(|seen| *seen == round));
        let why = match erasure {
            Some(erasure) => format!("a face that it saw was forgotten on {} UTC", erasure.erased_at),
            None => format!("only the last {} rounds are kept", self.options().keep_rounds),
        };
        Ok(Error::RoundNotKept { round, why, known })
    }

    /// The tables at these versions, as a round's plan noted and pinned them.
    pub async fn snapshot_at(&self, versions: &Versions) -> Result<Arc<Snapshot>> {
        let mut datasets = BTreeMap::new();
        for table in TableId::ALL {
            let latest = self.log().latest(*table).await?;
            let dataset = match versions.get(table) {
                Some(version) => Arc::new(latest.checkout_version(*version).await.map_err(Error::table(*table))?),
                None => latest,
            };
            datasets.insert(*table, dataset);
        }
        Snapshot::over(datasets, self).await
    }
}

impl Snapshot {
    async fn over(datasets: BTreeMap<TableId, Arc<Dataset>>, corpus: &Corpus) -> Result<Arc<Self>> {
        let mut rounds = Vec::new();
        if let Some(dataset) = datasets.get(&TableId::Rounds) {
            rounds = read_all::<Round>(dataset, None).await?;
            rounds.sort_by_key(|round| round.round);
            rounds.dedup_by_key(|round| round.round);
        }
        let (classes, options) = (corpus.classes().to_vec(), corpus.options());
        let (audit, judgements_per_face) = (options.audit, options.judgements_per_face);
        Ok(Arc::new(Self { datasets, rounds, classes, audit, judgements_per_face, candidates: None }))
    }

    /// The table at this snapshot's version; none for the hidden ones, which only [`Snapshot::truth`] reads.
    pub fn dataset(&self, table: TableId) -> Option<&Arc<Dataset>> {
        if table.is_hidden() { None } else { self.datasets.get(&table) }
    }

    /// Version of every table.
    pub fn versions(&self) -> Versions {
        self.datasets.iter().map(|(table, dataset)| (*table, dataset.version().version)).collect()
    }

    /// Finished rounds, in order.
    pub fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// The last accepted round.
    pub fn current(&self) -> Option<&Round> {
        self.rounds.iter().rev().find(|round| round.accepted)
    }

    /// Number of the last accepted round.
    pub fn current_round(&self) -> Option<u32> {
        self.current().map(|round| round.round)
    }

    /// Number of the accepted round before it.
    pub fn previous_round(&self) -> Option<u32> {
        self.rounds.iter().rev().filter(|round| round.accepted).nth(1).map(|round| round.round)
    }

    /// The finished round of this number.
    pub fn round(&self, round: u32) -> Result<&Round> {
        let found = self.rounds.iter().find(|r| r.round == round);
        found.ok_or_else(|| Error::NoSuchRound { round, known: known_rounds(&self.rounds) })
    }

    /// The same tables, with the predictions of a round that has no marker yet in the view `candidates`: for the round
    /// itself, when it orders its queue.
    pub fn with_candidates(&self, round: u32) -> Arc<Self> {
        Arc::new(Self { candidates: Some(round), ..self.clone() })
    }

    /// The round that the view `candidates` shows: one under way, or the last accepted one.
    pub fn candidate_round(&self) -> Option<u32> {
        self.candidates.or_else(|| self.current_round())
    }

    /// Class names in order.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// When the views withhold pseudo-labels.
    pub fn audit(&self) -> Audit {
        self.audit
    }

    /// People who judge a face before it leaves the queue.
    pub fn judgements_per_face(&self) -> u32 {
        self.judgements_per_face
    }

    /// Rows of a table, without their order; `filter` is a Lance predicate.
    pub async fn rows<T: Table>(&self, filter: Option<&str>) -> Result<Vec<T>> {
        read_all(self.open(T::ID)?, filter).await
    }

    /// How many rows match.
    pub async fn count(&self, table: TableId, filter: Option<&str>) -> Result<u64> {
        let rows = self.open(table)?.count_rows(filter.map(str::to_owned)).await.map_err(Error::table(table))?;
        Ok(rows as u64)
    }

    /// Places of faces in this snapshot, for [`Snapshot::images`]: one pass over the id column, memory by what is asked.
    ///
    /// # Errors
    /// [`Error::DanglingFace`] for an id that has no row.
    pub async fn places(&self, face_ids: &[String]) -> Result<Vec<u64>> {
        self.places_among(face_ids, None).await
    }

    /// [`Snapshot::places`] of faces whose ids lie close together: only the range between them is read, by its index.
    ///
    /// # Errors
    /// [`Error::DanglingFace`] for an id that has no row.
    pub async fn places_close_by(&self, face_ids: &[String]) -> Result<Vec<u64>> {
        let (Some(first), Some(last)) = (face_ids.iter().min(), face_ids.iter().max()) else { return Ok(Vec::new()) };
        self.places_among(face_ids, Some(format!("face_id >= '{first}' AND face_id <= '{last}'"))).await
    }

    async fn places_among(&self, face_ids: &[String], filter: Option<String>) -> Result<Vec<u64>> {
        let mut wanted: HashMap<&str, Option<u64>> = face_ids.iter().map(|id| (id.as_str(), None)).collect();
        let mut scan = self.open(TableId::Faces)?.scan();
        if let Some(filter) = &filter {
            scan.filter(filter).map_err(Error::table(TableId::Faces))?;
        }
        scan.project(&["face_id"]).map_err(Error::table(TableId::Faces))?;
        scan.with_row_id().scan_in_order(false);
        let mut batches = scan.try_into_stream().await.map_err(Error::table(TableId::Faces))?;
        while let Some(batch) = batches.try_next().await.map_err(Error::table(TableId::Faces))? {
            let ids = column(&batch, TableId::Faces, "face_id")?.as_string::<i32>();
            let rows = column(&batch, TableId::Faces, "_rowid")?.as_primitive::<UInt64Type>();
            for (id, row) in ids.iter().flatten().zip(rows.values()) {
                if let Some(place) = wanted.get_mut(id) {
                    place.get_or_insert(*row);
                }
            }
        }
        let place = |id: &String| {
            let place = wanted.get(id.as_str()).copied().flatten();
            place.ok_or_else(|| Error::DanglingFace { face_id: id.clone() })
        };
        face_ids.iter().map(place).collect()
    }

    /// Images at these places, in this order; a place may come twice.
    pub async fn images(&self, places: &[u64]) -> Result<Vec<Vec<u8>>> {
        let mut sorted = places.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.is_empty() {
            return Ok(Vec::new());
        }
        let faces = self.open(TableId::Faces)?;
        let projection = ProjectionRequest::from_columns(["image"], faces.schema());
        let batch = faces.take_rows(&sorted, projection).await.map_err(Error::table(TableId::Faces))?;
        let images = column(&batch, TableId::Faces, "image")?.as_binary::<i64>();
        let image = |place: &u64| match sorted.binary_search(place) {
            Ok(i) if i < images.len() => Ok(images.value(i).to_vec()),
            _ => Err(Error::Internal { what: format!("row {place} of table faces was not returned") }),
        };
        places.iter().map(image).collect()
    }

    /// Every face's id and image, a few at a time, in no order; `filter` is a Lance predicate.
    pub(crate) async fn for_each_image(&self, filter: Option<&str>, mut look: impl FnMut(&str, &[u8])) -> Result<()> {
        let mut scan = self.open(TableId::Faces)?.scan();
        if let Some(filter) = filter {
            scan.filter(filter).map_err(Error::table(TableId::Faces))?;
        }
        scan.project(&["face_id", "image"]).map_err(Error::table(TableId::Faces))?;
        scan.batch_size(256).io_buffer_size(64 << 20).batch_readahead(2).fragment_readahead(1);
        let mut batches = scan.try_into_stream().await.map_err(Error::table(TableId::Faces))?;
        while let Some(batch) = batches.try_next().await.map_err(Error::table(TableId::Faces))? {
            let ids = column(&batch, TableId::Faces, "face_id")?.as_string::<i32>();
            let images = column(&batch, TableId::Faces, "image")?.as_binary::<i64>();
            for (id, image) in ids.iter().zip(images) {
                look(id.unwrap_or_default(), image.unwrap_or_default());
            }
        }
        Ok(())
    }

    /// The one face whose id starts with `prefix`.
    pub async fn face_id(&self, prefix: &str) -> Result<String> {
        let missing = || Error::NoSuchFace { face_id: prefix.to_owned() };
        if prefix.is_empty() || !prefix.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(missing());
        }
        let prefix_lower = prefix.to_lowercase();
        let filter = match prefix.len() {
            64 => format!("face_id = '{prefix_lower}'"),
            _ => format!("face_id >= '{prefix_lower}' AND face_id < '{prefix_lower}g'"),
        };
        let mut scan = self.open(TableId::Faces)?.scan();
        scan.filter(&filter).map_err(Error::table(TableId::Faces))?;
        scan.project(&["face_id"]).map_err(Error::table(TableId::Faces))?;
        // A few of several faces, though one of them should have copies.
        scan.limit(Some(64), None).map_err(Error::table(TableId::Faces))?;
        let batch = scan.try_into_batch().await.map_err(Error::table(TableId::Faces))?;
        let ids = column(&batch, TableId::Faces, "face_id")?.as_string::<i32>();
        let mut found: Vec<String> = ids.iter().flatten().map(str::to_owned).collect();
        found.sort_unstable();
        found.dedup();
        found.truncate(4);
        match found.as_slice() {
            [] => Err(missing()),
            [id] => Ok(id.clone()),
            several => Err(Error::AmbiguousFace {
                prefix: prefix.to_owned(),
                examples: several.iter().map(|id| &id[..16]).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    pub(crate) fn open(&self, table: TableId) -> Result<&Arc<Dataset>> {
        let missing = || Error::Internal { what: format!("snapshot without table {table}") };
        self.datasets.get(&table).ok_or_else(missing)
    }
}

/// All rows of a small table, or of a small part of a large one.
pub(crate) async fn read_all<T: Table>(dataset: &Arc<Dataset>, filter: Option<&str>) -> Result<Vec<T>> {
    let mut scan = dataset.scan();
    if let Some(filter) = filter {
        scan.filter(filter).map_err(Error::table(T::ID))?;
    }
    let mut rows = Vec::new();
    let mut batches = scan.try_into_stream().await.map_err(Error::table(T::ID))?;
    while let Some(batch) = batches.try_next().await.map_err(Error::table(T::ID))? {
        rows.extend(T::from_batch(&batch)?);
    }
    Ok(rows)
}

/// Versions as a marker notes them.
pub(crate) fn noted_versions(round: u32, noted: &str) -> Result<Versions> {
    serde_json::from_str(noted)
        .map_err(|source| Error::Unreadable { what: format!("versions of round {round}"), source })
}

pub(crate) fn known_rounds(rounds: &[Round]) -> String {
    match rounds {
        [] => "no round has finished yet; `marginalia train` runs one".to_owned(),
        rounds => format!("there are {}", list(&rounds.iter().map(|r| r.round).collect::<Vec<_>>())),
    }
}

fn list(rounds: &[u32]) -> String {
    rounds.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
