//! What an import has read, kept on disk until it is decided which labels may be known.
//!
//! In: one row per record, in batches. Out: the same rows as often as they are wanted, and SQL over them. A file, not a
//! list in memory, so that an import of ten million records needs no more of it than one of ten thousand.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use datafusion::datasource::file_format::options::ArrowReadOptions;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use marginalia_store::Table;
use marginalia_store::tables::sightings::Sighting;

use crate::error::{Error, Result};

/// Memory for SQL over the spool; beyond it sorts and aggregates go to disk.
const SQL_BYTES: usize = 256 << 20;

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
        let schema = Arc::new(Schema::new(fields));
        let file = File::create(&path).map_err(Error::io(&path))?;
        let writer = FileWriter::try_new(BufWriter::new(file), &schema)?;
        Ok(Self { path, schema, writer })
    }

    /// Adds rows; one perceptual hash each.
    pub fn add(&mut self, sightings: &[Sighting], hashes: Vec<u64>) -> Result<()> {
        let batch = Sighting::to_batch(sightings)?;
        let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
        columns.push(Arc::new(UInt64Array::from(hashes)));
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
    pub fn rows(&self) -> Result<impl Iterator<Item = Result<Vec<Sighting>>>> {
        let file = File::open(&self.path).map_err(Error::io(&self.path))?;
        let reader = FileReader::try_new(BufReader::new(file), None)?;
        Ok(reader.map(|batch| Ok(Sighting::from_batch(&batch?)?)))
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

impl Drop for Spool {
    fn drop(&mut self) {
        // A leftover is harmless and the next import of this process number replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}
