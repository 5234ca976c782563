//! Answers of SQL written down: for people and in the forms that programs read.
//!
//! In: an answer, batch by batch. Out: bytes, as the rows come; only the table for people needs all of it first.

use std::fs::{File, Metadata};
use std::io::{BufWriter, ErrorKind, Write, copy};
use std::path::PathBuf;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::arrow::{csv, ipc, json};
use datafusion::parquet::arrow::ArrowWriter;
use marginalia_store::Answer;

use crate::error::{Error, Result};
use crate::part_file::PartFile;

/// Forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// With a header line
    Csv,
    /// One array
    Json,
    /// One object a line
    Jsonl,
    /// Arrow IPC stream
    Arrow,
    /// Parquet file
    Parquet,
}

impl Format {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Arrow => "arrow",
            Self::Parquet => "parquet",
        }
    }

    /// Whether it is no text.
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }
}

/// A file that answers go to, one behind the other: it holds each as a whole or nothing of it. What is no file, such as
/// a pipe, has them as they come.
pub struct AnswerFile {
    path: PathBuf,
    is_stream: bool,
    has_answers: bool,
}

impl AnswerFile {
    /// What stands there stays until the first answer takes its place. Where none can be written it is told now, rather
    /// than after a long query.
    pub fn new(path: PathBuf) -> Result<Self> {
        let there = std::fs::metadata(&path).ok();
        if there.as_ref().is_some_and(Metadata::is_dir) {
            return Err(Error::io(&path)(ErrorKind::IsADirectory.into()));
        }
        let is_stream = there.is_some_and(|there| !there.is_file());
        // A link stays one: what it leads to is replaced.
        let path = path.canonicalize().unwrap_or(path);
        if !is_stream {
            drop(PartFile::create(path.clone())?);
        }
        Ok(Self { path, is_stream, has_answers: false })
    }

    /// Writes one more.
    pub async fn add(&mut self, answer: Answer, format: Format) -> Result<()> {
        if self.is_stream {
            let mut out = BufWriter::new(File::options().write(true).open(&self.path).map_err(Error::io(&self.path))?);
            write(answer, format, &mut out).await?;
            return out.flush().map_err(Error::io(&self.path));
        }
        let mut file = PartFile::create(self.path.clone())?;
        if self.has_answers {
            let mut before = File::open(&self.path).map_err(Error::io(&self.path))?;
            copy(&mut before, &mut file).map_err(Error::io(&self.path))?;
        }
        write(answer, format, &mut file).await?;
        file.close()?;
        self.has_answers = true;
        Ok(())
    }
}

/// Writes an answer batch by batch; only the table for people needs all of it to set its columns.
pub async fn write(mut answer: Answer, format: Format, out: &mut (impl Write + Send)) -> Result<()> {
    let schema = answer.schema.clone();
    match format {
        Format::Table => {
            let text = pretty(&schema, &answer.collect().await?)?;
            return writeln!(out, "{text}").map_err(Error::io("the output"));
        }
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
            writer.write(&RecordBatch::new_empty(schema))?;
            while let Some(batch) = answer.next().await? {
                writer.write(&batch)?;
            }
        }
        Format::Json => {
            let mut writer = json::ArrayWriter::new(out);
            while let Some(batch) = answer.next().await? {
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        Format::Jsonl => {
            let mut writer = json::LineDelimitedWriter::new(out);
            while let Some(batch) = answer.next().await? {
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        Format::Arrow => {
            let mut writer = ipc::writer::StreamWriter::try_new(out, &schema)?;
            while let Some(batch) = answer.next().await? {
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        Format::Parquet => {
            let mut writer =
                ArrowWriter::try_new(out, schema, None).map_err(datafusion::error::DataFusionError::from)?;
            while let Some(batch) = answer.next().await? {
                writer.write(&batch).map_err(datafusion::error::DataFusionError::from)?;
            }
            writer.close().map_err(datafusion::error::DataFusionError::from)?;
        }
    }
    Ok(())
}

fn pretty(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String> {
    Ok(pretty_format_batches_with_schema(schema.clone(), batches)?.to_string())
}
