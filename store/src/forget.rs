//! Forgetting: a person's faces leave every table, version, pin, index and left-over file of the corpus.
//!
//! In: ids of faces. Out: a corpus without them, a tombstone that refuses the same bytes later, a row in `erasures`, and the
//! proof: the whole folder was searched for pieces of the images and for the ids. What it costs is told beforehand: rounds
//! that saw the faces cannot be looked back at any more. What it cannot do is told as well: weights that were trained on
//! them stay, and so do the files they came from.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aho_corasick::AhoCorasick;

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::failpoint::FailPoint;
use crate::home::Home;
use crate::known::{self, is_in};
use crate::locks::{Lock, Purpose};
use crate::log::Change;
use crate::maintenance::{INDICES, target_rows};
use crate::pins;
use crate::repair;
use crate::round::RoundWriter;
use crate::snapshot::Snapshot;
use crate::table::TableId;
use crate::tables::erasures::Erasure;
use crate::tables::sightings::Sighting;
use crate::tables::tombstones::Tombstone;

/// Ids in one predicate.
const CHUNK: usize = 256;

/// Length of a piece of an image that is searched for, bytes.
const PIECE: usize = 64;

/// What forgetting takes with it, and what it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ForgetCost {
    /// Faces.
    pub faces: u64,
    /// Rows that go, by table.
    pub rows: Vec<(TableId, u64)>,
    /// Rounds that can be looked back at now and will not be any more.
    pub rounds_lost: Vec<u32>,
    /// A round that was killed and would have been resumed; it is given up.
    pub unfinished_round: Option<u32>,
    /// Rounds that may have trained on the faces. Their weights stay as they are.
    pub rounds_trained: Vec<u32>,
    /// Files that the faces came from. They are not touched.
    pub sources: Vec<String>,
}

/// Tables whose rows name a face; `faces` last, so that what was broken off still knows the image.
fn tables_of_faces() -> impl Iterator<Item = TableId> {
    let names_face = |table: &TableId| table.columns().iter().any(|column| column.field.name() == "face_id");
    let others = TableId::ALL.iter().copied().filter(|table| *table != TableId::Faces);
    others.filter(names_face).chain([TableId::Faces])
}

impl Corpus {
    /// The one face whose id starts with `prefix`, also where forgetting it was broken off.
    ///
    /// # Errors
    /// As [`Snapshot::face_id`].
    pub async fn forgettable(&self, prefix: &str) -> Result<String> {
        let stored = self.snapshot().await?.face_id(prefix).await;
        match stored {
            Err(Error::NoSuchFace { .. }) if self.forgotten(&[prefix]).await? == [true] => Ok(prefix.to_owned()),
            stored => stored,
        }
    }

    /// What [`Corpus::forget`] would take.
    ///
    /// # Errors
    /// [`Error::NoSuchFace`] for an id that is not stored.
    pub async fn cost_of_forgetting(&self, face_ids: &[String]) -> Result<ForgetCost> {
        let snapshot = self.snapshot().await?;
        for id in face_ids {
            if self.forgettable(id).await? != *id {
                return Err(Error::NoSuchFace { face_id: id.clone() });
            }
        }
        let mut cost = ForgetCost { faces: face_ids.len() as u64, ..ForgetCost::default() };
        for table in tables_of_faces() {
            cost.rows.push((table, count(&snapshot, table, face_ids).await?));
        }
        cost.unfinished_round = self.planned_round(snapshot.rounds()).await?;
        let tags = self.tags_that_hold(&snapshot, face_ids).await?;
        cost.rounds_lost = tags.iter().filter_map(|tag| tag.strip_prefix("round-")?.parse().ok()).collect();
        cost.rounds_lost.sort_unstable();
        let mut first_seen = None;
        for chunk in chunks(face_ids) {
            for sighting in snapshot.rows::<Sighting>(Some(&chunk)).await? {
                first_seen = Some(first_seen.unwrap_or(sighting.seen_at).min(sighting.seen_at));
                cost.sources.push(sighting.source);
            }
        }
        let rounds = snapshot.rounds().iter().filter(|round| first_seen.is_none_or(|seen| round.started_at >= seen));
        cost.rounds_trained = rounds.map(|round| round.round).collect();
        Ok(cost)
    }

    /// Removes the faces from everything under the corpus and makes sure that they are gone. One that was broken off is
    /// finished by doing it again.
    ///
    /// # Errors
    /// [`Error::Locked`] while a round runs or maintenance is under way elsewhere; [`Error::NotForgotten`] where something
    /// was found in the end, with the files that hold it.
    pub async fn forget(&self, face_ids: &[String], reason: Option<String>) -> Result<ForgetCost> {
        let unfinished_round = self.cost_of_forgetting(face_ids).await?.unfinished_round;
        // A round that was killed is given up, or its pins are finished: what it holds is known then.
        if let Some(unfinished) = RoundWriter::resume(self).await? {
            unfinished.abort().await?;
        }
        let cost = ForgetCost { unfinished_round, ..self.cost_of_forgetting(face_ids).await? };
        let no_round = Lock::take(self.home(), Purpose::Round).await?;
        let no_care = Lock::take(self.home(), Purpose::Maintenance).await?;
        let search = self.search_for(face_ids).await?;
        // First of all, so that nothing brings them back meanwhile.
        let known = self.forgotten(&face_ids.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let new: Vec<String> =
            face_ids.iter().zip(known).filter(|(_, known)| !known).map(|(id, _)| id.clone()).collect();
        if !new.is_empty() {
            self.writer::<Tombstone>().append(self.new_tombstones(&new).await?).await?;
        }
        for tag in self.tags_that_hold(self.snapshot().await?.as_ref(), face_ids).await? {
            self.unpin(&tag).await?;
        }
        for table in tables_of_faces() {
            no_round.check()?;
            no_care.check()?;
            self.forget_in(table, face_ids).await?;
        }
        self.record_erasure(&cost, reason).await?;
        no_round.release().await;
        no_care.release().await;
        let found = search.run(self.home()).await?;
        if found.is_empty() { Ok(cost) } else { Err(Error::NotForgotten { files: found }) }
    }

    /// Says that faces were forgotten, unless all that have a tombstone are accounted for: then it was said before.
    async fn record_erasure(&self, cost: &ForgetCost, reason: Option<String>) -> Result<()> {
        let snapshot = self.snapshot().await?;
        let accounted: u64 = snapshot.rows::<Erasure>(None).await?.iter().map(|erasure| erasure.faces).sum();
        let faces = snapshot.count(TableId::Tombstones, None).await?.saturating_sub(accounted);
        if faces == 0 {
            return Ok(());
        }
        let rows = cost.rows.iter().map(|(_, rows)| rows).sum();
        let rounds = Some(cost.rounds_lost.clone());
        let erasure = Erasure { erased_at: self.log().now(), faces, rows, rounds, reason };
        self.writer::<Erasure>().append(vec![erasure]).await.map(drop)
    }

    /// Deletes, rewrites what held the rows, and removes every version and file before.
    async fn forget_in(&self, table: TableId, face_ids: &[String]) -> Result<()> {
        let mut deleted = false;
        for predicate in chunks(face_ids) {
            let dataset = self.log().latest(table).await?;
            if dataset.count_rows(Some(predicate.clone())).await.map_err(Error::table(table))? > 0 {
                self.log().commit(table, Change::Delete(predicate)).await?;
                deleted = true;
            }
        }
        self.log().commit(table, Change::Compact { target_rows: target_rows(table), every_deletion: true }).await?;
        for (_, column, kind) in INDICES.iter().filter(|(of, ..)| *of == table) {
            self.log().commit(table, Change::Index { column, kind: *kind, rebuild: true }).await?;
        }
        if deleted {
            // The version that deleted quotes the ids; it must not be the newest, which no clean-up removes.
            let value = self.log().now().0.to_string();
            self.log().commit(table, Change::Note { key: "marginalia:forgot_at", value }).await?;
        }
        self.options().fail_points.pass(FailPoint::ForgottenIn(table))?;
        self.log().commit(table, Change::CleanUp { older_than: Duration::ZERO }).await?;
        self.log().commit(table, Change::Sweep).await?;
        if let Some(folder) = self.home().local_table(table) {
            for file in repair::set_aside(&folder)? {
                std::fs::remove_file(&file).map_err(Error::io(file))?;
            }
        }
        Ok(())
    }

    /// Tags, of whatever table, whose version holds one of the faces.
    async fn tags_that_hold(&self, snapshot: &Snapshot, face_ids: &[String]) -> Result<BTreeSet<String>> {
        let mut held = BTreeSet::new();
        for table in tables_of_faces() {
            let latest = snapshot.open(table)?;
            for (tag, version) in pins::all(latest, table).await? {
                let pinned = latest.checkout_version(version).await.map_err(Error::table(table))?;
                for predicate in chunks(face_ids) {
                    if pinned.count_rows(Some(predicate)).await.map_err(Error::table(table))? > 0 {
                        held.insert(tag.clone());
                    }
                }
            }
        }
        Ok(held)
    }

    /// What to look for in the end: the ids, and pieces of the images that no other image has.
    async fn search_for(&self, face_ids: &[String]) -> Result<Search> {
        let snapshot = self.snapshot().await?;
        let mut stored = Vec::new();
        for chunk in face_ids.chunks(CHUNK) {
            let ids: Vec<&str> = chunk.iter().map(String::as_str).collect();
            stored.extend(known::stored(snapshot.open(TableId::Faces)?, &ids).await?);
        }
        let places = snapshot.places(&stored).await?;
        let mut pieces: HashSet<Vec<u8>> = HashSet::new();
        for places in places.chunks(CHUNK) {
            pieces.extend(snapshot.images(places).await?.iter().flat_map(|image| pieces_of(image)));
        }
        // An encoder's tables, or a black border, are in many images: they prove nothing.
        let pieces: Vec<Vec<u8>> = pieces.into_iter().collect();
        let finder = finder(&pieces)?;
        let forgotten: HashSet<&str> = face_ids.iter().map(String::as_str).collect();
        let mut shared = HashSet::new();
        let look = |id: &str, image: &[u8]| {
            if !forgotten.contains(id) {
                shared.extend(finder.find_overlapping_iter(image).map(|found| found.pattern()));
            }
        };
        snapshot.for_each_image(None, look).await?;
        let own = pieces.into_iter().enumerate().filter(|(i, _)| !shared.iter().any(|found| found.as_usize() == *i));
        let ids = face_ids.iter().map(|id| id.clone().into_bytes());
        Ok(Search { patterns: own.map(|(_, piece)| piece).chain(ids).collect() })
    }
}

/// Patterns that must be nowhere.
struct Search {
    patterns: Vec<Vec<u8>>,
}

impl Search {
    /// Files of the corpus that hold one of them.
    async fn run(self, home: &Home) -> Result<Vec<PathBuf>> {
        let finder = Arc::new(finder(&self.patterns)?);
        let mut found = search_folder(home.folder().to_owned(), finder.clone()).await?;
        if let Some(remote) = home.remote() {
            // An object at a time, through a file: an object may be a gigabyte.
            let folder = home.folder().join("tmp").join("forget");
            for (name, _) in remote.list("").await? {
                remote.download(&name, &folder.join("object")).await?;
                if !search_folder(folder.clone(), finder.clone()).await?.is_empty() {
                    found.push(PathBuf::from(remote.full_name(&name)));
                }
            }
            if folder.exists() {
                std::fs::remove_dir_all(&folder).map_err(Error::io(folder))?;
            }
        }
        Ok(found)
    }
}

async fn search_folder(folder: PathBuf, finder: Arc<AhoCorasick>) -> Result<Vec<PathBuf>> {
    let work = move || {
        let mut found = Vec::new();
        search(&folder, &finder, &mut found)?;
        Ok(found)
    };
    let searched = tokio::task::spawn_blocking(work).await;
    searched.unwrap_or_else(|join| Err(Error::Internal { what: format!("search: {join}") }))
}

fn finder(patterns: &[Vec<u8>]) -> Result<AhoCorasick> {
    AhoCorasick::new(patterns).map_err(|error| Error::Internal { what: format!("search: {error}") })
}

fn search(folder: &Path, finder: &AhoCorasick, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(Error::io(folder))?);
        if kind.is_dir() {
            search(&path, finder, found)?;
        } else if kind.is_file() {
            let file = match File::open(&path) {
                Ok(file) => file,
                // Somebody else's temporary file, gone by itself.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io(path)(error)),
            };
            if finder.stream_find_iter(file).next().transpose().map_err(Error::io(&path))?.is_some() {
                found.push(path);
            }
        }
    }
    Ok(())
}

/// Three pieces of an image, from behind its headers; of a small one itself.
fn pieces_of(image: &[u8]) -> Vec<Vec<u8>> {
    if image.len() < PIECE {
        return Vec::new();
    }
    let last = image.len() - PIECE;
    [last / 2, last * 3 / 4, last].iter().map(|start| image[*start..start + PIECE].to_vec()).collect()
}

fn chunks(face_ids: &[String]) -> impl Iterator<Item = String> {
    face_ids.chunks(CHUNK).map(|chunk| is_in("face_id", &chunk.iter().map(String::as_str).collect::<Vec<_>>()))
}

async fn count(snapshot: &Snapshot, table: TableId, face_ids: &[String]) -> Result<u64> {
    let mut rows = 0;
    for predicate in chunks(face_ids) {
        rows += snapshot.count(table, Some(&predicate)).await?;
    }
    Ok(rows)
}
