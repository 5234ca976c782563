//! What an import has read, kept on disk until it is decided which labels may be known.
//!
//! In: one row per record, in batches. Out: the same rows as often as they are wanted, and SQL over them. A file, not a
//! list in memory, so that an import of ten million records needs no more of it than one of ten thousand.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, ListArray, RecordBatch, StringArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef, UInt32Type, UInt64Type};
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use datafusion::datasource::file_format::options::ArrowReadOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use marginalia_store::Table;
use marginalia_store::tables::sightings::Sighting;

use crate::error::{Error, Result};

/// Memory for SQL over the spool; beyond it sorts and aggregates go to disk. The engine's own pool will do: it divides by
/// all operators, and a plan over one table has two or three where one over the views has forty.
const SQL_BYTES: usize = 256 << 20;

/// What was read of one face.
pub struct Seen {
    /// Its row, as it will be stored.
    pub sighting: Sighting,
    /// Of the image.
    pub perceptual_hash: u64,
    /// The person, where the data set says who.
    pub subject: Option<String>,
    /// Votes by class, where the data set keeps them.
    pub votes: Option<Vec<u32>>,
    /// Who gave the class, if not the data set as a whole.
    pub annotator: Option<String>,
    /// Seconds that took.
    pub seconds: Option<f32>,
    /// Whether a person judged this very face.
    pub is_judged_by_person: bool,
    /// The label that an export made it from.
    pub label_id: Option<String>,
    /// Whether somebody has changed it since.
    pub is_changed: bool,
}

/// Rows being written.
pub struct SpoolWriter {
    path: PathBuf,
    schema: SchemaRef,
    writer: FileWriter<BufWriter<File>>,
}

/// Rows all written.
pub struct Spool {
    path: PathBuf,
}

impl SpoolWriter {
    /// A new spool under the corpus.
    pub fn create(corpus: &Path) -> Result<Self> {
        let folder = corpus.join("tmp");
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let started = std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos());
        let path = folder.join(format!("import-{}-{started}.arrow", std::process::id()));
        let mut fields: Vec<Field> = Sighting::schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        fields.push(Field::new("perceptual_hash", DataType::UInt64, false));
        fields.push(Field::new("subject", DataType::Utf8, true));
        fields.push(Field::new_list("votes", Field::new_list_field(DataType::UInt32, true), true));
        fields.push(Field::new("annotator", DataType::Utf8, true));
        fields.push(Field::new("seconds", DataType::Float32, true));
        fields.push(Field::new("is_judged_by_person", DataType::Boolean, false));
        fields.push(Field::new("label_id", DataType::Utf8, true));
        fields.push(Field::new("is_changed", DataType::Boolean, false));
        let schema = Arc::new(Schema::new(fields));
        let file = File::create(&path).map_err(Error::io(&path))?;
        let writer = FileWriter::try_new(BufWriter::new(file), &schema)?;
        Ok(Self { path, schema, writer })
    }

    /// Adds rows.
    pub fn add(&mut self, seen: Vec<Seen>) -> Result<()> {
        let hashes = UInt64Array::from_iter_values(seen.iter().map(|seen| seen.perceptual_hash));
        let subjects: StringArray = seen.iter().map(|seen| seen.subject.as_deref()).collect();
        let votes = seen.iter().map(|seen| seen.votes.as_ref().map(|votes| votes.iter().copied().map(Some)));
        let votes = ListArray::from_iter_primitive::<UInt32Type, _, _>(votes);
        let annotators: StringArray = seen.iter().map(|seen| seen.annotator.as_deref()).collect();
        let seconds: Float32Array = seen.iter().map(|seen| seen.seconds).collect();
        let judged: BooleanArray = seen.iter().map(|seen| Some(seen.is_judged_by_person)).collect();
        let labels: StringArray = seen.iter().map(|seen| seen.label_id.as_deref()).collect();
        let changed: BooleanArray = seen.iter().map(|seen| Some(seen.is_changed)).collect();
        let sightings: Vec<Sighting> = seen.into_iter().map(|seen| seen.sighting).collect();
        let mut columns: Vec<ArrayRef> = Sighting::to_batch(&sightings)?.columns().to_vec();
        columns.extend([Arc::new(hashes) as ArrayRef, Arc::new(subjects), Arc::new(votes)]);
        columns.extend([Arc::new(annotators) as ArrayRef, Arc::new(seconds), Arc::new(judged)]);
        columns.extend([Arc::new(labels) as ArrayRef, Arc::new(changed)]);
        self.writer.write(&RecordBatch::try_new(self.schema.clone(), columns)?)?;
        Ok(())
    }

    /// Ends writing.
    pub fn finish(mut self) -> Result<Spool> {
        self.writer.finish()?;
        Ok(Spool { path: self.path.clone() })
    }
}

impl Spool {
    /// The rows, batch by batch, in the order they were added.
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<Vec<Seen>>>> {
        let file = File::open(&self.path).map_err(Error::io(&self.path))?;
        let reader = FileReader::try_new(BufReader::new(file), None)?;
        Ok(reader.map(|batch| seen(&batch?)))
    }

    /// A SQL context with the rows as table `seen`; memory-bounded, and nothing else in it.
    pub async fn sql(&self) -> Result<SessionContext> {
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(FairSpillPool::new(SQL_BYTES))).build_arc()?;
        let config = SessionConfig::new().with_target_partitions(1);
        let context = SessionContext::new_with_config_rt(config, runtime);
        let path = self.path.to_string_lossy().into_owned();
        context.register_arrow("seen", &path, ArrowReadOptions::default()).await?;
        Ok(context)
    }
}

fn seen(batch: &RecordBatch) -> Result<Vec<Seen>> {
    let missing = |column: &str| Error::Internal { what: format!("a spool without {column}") };
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| missing(name));
    let hashes =
        column("perceptual_hash")?.as_primitive_opt::<UInt64Type>().ok_or_else(|| missing("perceptual_hash"))?;
    let subjects = column("subject")?.as_string_opt::<i32>().ok_or_else(|| missing("subject"))?;
    let votes = column("votes")?.as_list_opt::<i32>().ok_or_else(|| missing("votes"))?;
    let votes_of =
        |row: usize| votes.is_valid(row).then(|| votes.value(row).as_primitive::<UInt32Type>().values().to_vec());
    let annotators = column("annotator")?.as_string_opt::<i32>().ok_or_else(|| missing("annotator"))?;
    let seconds = column("seconds")?.as_primitive_opt::<Float32Type>().ok_or_else(|| missing("seconds"))?;
    let judged = column("is_judged_by_person")?.as_boolean_opt().ok_or_else(|| missing("is_judged_by_person"))?;
    let labels = column("label_id")?.as_string_opt::<i32>().ok_or_else(|| missing("label_id"))?;
    let changed = column("is_changed")?.as_boolean_opt().ok_or_else(|| missing("is_changed"))?;
    let rows = Sighting::from_batch(batch)?.into_iter().enumerate();
    Ok(rows
        .map(|(row, sighting)| Seen {
            sighting,
            perceptual_hash: hashes.value(row),
            subject: subjects.is_valid(row).then(|| subjects.value(row).to_owned()),
            votes: votes_of(row),
            annotator: annotators.is_valid(row).then(|| annotators.value(row).to_owned()),
            seconds: seconds.is_valid(row).then(|| seconds.value(row)),
            is_judged_by_person: judged.value(row),
            label_id: labels.is_valid(row).then(|| labels.value(row).to_owned()),
            is_changed: changed.value(row),
        })
        .collect())
}

impl Drop for Spool {
    fn drop(&mut self) {
        // A leftover is harmless and the next import of this process number replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}
