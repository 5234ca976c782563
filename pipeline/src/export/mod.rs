//! Export: the labelled corpus as files for others.
//!
//! In: one state of the corpus and a wish for rows of its view `provenance`. Out: a folder of parts in the wished format, a
//! data card, and `export.json`, which says what it is. Parts follow ranges of ids, so that memory holds a few hundred
//! faces, whatever the corpus. A part counts once `export.json` says so: an export that was broken off goes on behind the
//! last one, over the same state, which stays pinned until the export is done.

mod card;
mod csv;
mod imagefolder;
mod jsonl;
mod label_studio;
mod parquet;
mod part;

use std::path::{Path, PathBuf};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use marginalia_store::{
    Corpus, Moment, Session, Snapshot, SqlLimits, SqlRuntime, TableId, Versions, id_ranges, write_whole,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use part::face_ids;

/// Every format.
pub const FORMATS: &[&dyn Format] =
    &[&parquet::Parquet, &csv::Csv, &jsonl::Jsonl, &imagefolder::ImageFolder, &label_studio::LabelStudio];

/// A way to write a corpus down.
pub trait Format: Sync {
    /// As in `--format`.
    fn name(&self) -> &'static str;
    /// What it reads: the view `provenance`, or that with more columns.
    fn query(&self) -> &'static str {
        "select * from provenance"
    }
    /// Whether it wants the images too.
    fn has_images(&self) -> bool {
        true
    }
    /// Begins part `number`; what an earlier try left of it is replaced.
    fn begin(&self, folder: &Path, number: u32, schema: &SchemaRef) -> Result<Box<dyn Part>>;
    /// Puts the parts together, where others expect one file.
    fn finish(&self, _folder: &Path, _parts: u32, _classes: &[String]) -> Result<()> {
        Ok(())
    }
}

/// A part under way.
pub trait Part: Send {
    /// Adds rows, in the order of the ids, with an image for each if the format has them.
    fn write(&mut self, rows: &RecordBatch, images: &[Vec<u8>]) -> Result<()>;
    /// Ends it: from now on it has its name.
    fn close(self: Box<Self>) -> Result<()>;
}

/// What is wished for.
pub struct ExportRequest {
    /// Where to: a folder that does not exist, is empty, or holds an export of the same wish that was broken off.
    pub folder: PathBuf,
    /// How.
    pub format: &'static dyn Format,
    /// The state to write down.
    pub at: Moment,
    /// Which rows: a condition on the view's columns.
    pub filter: Option<String>,
}

/// What was written: `export.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Export {
    /// The corpus.
    pub corpus: String,
    /// As in `--format`.
    pub format: String,
    /// The state that was asked for; now is when it began.
    pub at: Moment,
    /// The condition.
    pub filter: Option<String>,
    /// Version of every table that was read.
    pub versions: Versions,
    /// Parts in all.
    pub parts: u32,
    /// Faces in each part that is done.
    pub faces: Vec<u64>,
    /// Whether it is whole.
    pub finished: bool,
}

/// Faces of the corpus that a part covers, whether they are exported or not.
const PART: u64 = 64 * 1024;

/// Images in memory at a time.
const IMAGES: usize = 256;

const RECORD: &str = "export.json";

/// Exports, or goes on with the export that was broken off; `progress` hears of the parts done and of all.
pub async fn export(
    corpus: &Corpus,
    sql: &SqlRuntime,
    request: &ExportRequest,
    token: &CancellationToken,
    progress: &mut (dyn FnMut(u32, u32) + Send),
) -> Result<Export> {
    let (mut record, snapshot) = match read(&request.folder)? {
        Some(record) => resume(corpus, request, record).await?,
        None => begin(corpus, request).await?,
    };
    let work =
        format!("export into {}", std::path::absolute(&request.folder).map_err(Error::io(&request.folder))?.display());
    corpus.hold(&work, &record.versions).await?;
    let session = Session::open(sql, snapshot, SqlLimits::default()).await?;
    let filter = request.filter.as_deref().unwrap_or("true");
    let query = format!("select * from ({}) where ({filter})", request.format.query());
    let schema = session.schema_of(&query).await?;
    save(&request.folder, &record)?;
    while record.faces.len() < record.parts as usize {
        let number = record.faces.len() as u32;
        progress(number, record.parts);
        if token.is_cancelled() {
            return Err(Error::Interrupted { what: "the export" });
        }
        let part = request.format.begin(&request.folder, number, &schema)?;
        let faces = write_part(&session, &query, request.format, (number, record.parts), part).await?;
        record.faces.push(faces);
        save(&request.folder, &record)?;
    }
    request.format.finish(&request.folder, record.parts, corpus.classes())?;
    card::write(&request.folder, sql, &session, &record).await?;
    record.finished = true;
    save(&request.folder, &record)?;
    corpus.let_go(&work).await?;
    Ok(record)
}

async fn begin(corpus: &Corpus, request: &ExportRequest) -> Result<(Export, std::sync::Arc<Snapshot>)> {
    let folder = &request.folder;
    let is_free = std::fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none());
    if !is_free {
        return Err(Error::NotAnExport { path: folder.clone() });
    }
    let snapshot = corpus.snapshot_of(request.at).await?;
    std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let faces = snapshot.count(TableId::Faces, None).await?;
    let record = Export {
        corpus: corpus.identity().await?,
        format: request.format.name().to_owned(),
        at: request.at,
        filter: request.filter.clone(),
        versions: snapshot.versions(),
        parts: faces.div_ceil(PART).max(1) as u32,
        faces: Vec::new(),
        finished: false,
    };
    Ok((record, snapshot))
}

async fn resume(
    corpus: &Corpus,
    request: &ExportRequest,
    record: Export,
) -> Result<(Export, std::sync::Arc<Snapshot>)> {
    let path = || request.folder.clone();
    let is_same = record.corpus == corpus.identity().await?
        && record.format == request.format.name()
        && (record.at, &record.filter) == (request.at, &request.filter);
    if record.finished || !is_same {
        return Err(Error::AnotherExport { path: path(), format: record.format, finished: record.finished });
    }
    match corpus.snapshot_at(&record.versions).await {
        Ok(snapshot) => Ok((record, snapshot)),
        Err(source) => Err(Error::ExportedStateGone { path: path(), source: Box::new(source) }),
    }
}

async fn write_part(
    session: &Session,
    query: &str,
    format: &dyn Format,
    (number, parts): (u32, u32),
    mut part: Box<dyn Part>,
) -> Result<u64> {
    let mut faces = 0;
    // A part has as many faces as memory holds without their images.
    if let Some(range) = id_ranges(parts.into()).nth(number as usize) {
        let sql = format!("{query} and {} order by face_id", range.condition());
        let mut answer = session.query_trusted(&sql, Vec::new()).await?;
        while let Some(batch) = answer.next().await? {
            for start in (0..batch.num_rows()).step_by(IMAGES) {
                let rows = batch.slice(start, IMAGES.min(batch.num_rows() - start));
                let images = match format.has_images() {
                    true => images(session.snapshot(), &rows).await?,
                    false => Vec::new(),
                };
                faces += rows.num_rows() as u64;
                part.write(&rows, &images)?;
            }
        }
    }
    part.close()?;
    Ok(faces)
}

async fn images(snapshot: &Snapshot, rows: &RecordBatch) -> Result<Vec<Vec<u8>>> {
    let places = snapshot.places_close_by(&face_ids(rows)?).await?;
    Ok(snapshot.images(&places).await?)
}

fn read(folder: &Path) -> Result<Option<Export>> {
    let path = folder.join(RECORD);
    match std::fs::read(&path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).map_err(|source| Error::Progress { path, source })?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path)(error)),
    }
}

fn save(folder: &Path, record: &Export) -> Result<()> {
    let path = folder.join(RECORD);
    let text = serde_json::to_vec_pretty(record).map_err(|source| Error::Progress { path: path.clone(), source })?;
    Ok(write_whole(&path, &text)?)
}
