//! `parquet`: the view's columns and the image's bytes.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{BinaryArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;

use super::{Format, Part};
use crate::error::Result;
use crate::part_file::PartFile;

/// Bytes of a row group: what a reader needs at a time.
const ROW_GROUP: usize = 32 << 20;

/// `parquet`.
pub(super) struct Parquet;

impl Format for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
    }

    fn begin(&self, folder: &Path, number: u32, schema: &SchemaRef) -> Result<Box<dyn Part>> {
        let file = PartFile::create(folder.join(format!("part-{number:05}.parquet")))?;
        let fields = schema.fields().iter().cloned().chain([Arc::new(Field::new("image", DataType::Binary, false))]);
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let writer = ArrowWriter::try_new(file, schema.clone(), None).map_err(DataFusionError::from)?;
        Ok(Box::new(ParquetPart { writer, schema }))
    }
}

struct ParquetPart {
    writer: ArrowWriter<PartFile>,
    schema: SchemaRef,
}

impl Part for ParquetPart {
    fn write(&mut self, rows: &RecordBatch, images: &[Vec<u8>]) -> Result<()> {
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(BinaryArray::from_iter_values(images)));
        let rows = RecordBatch::try_new(self.schema.clone(), columns)?;
        self.writer.write(&rows).map_err(DataFusionError::from)?;
        if self.writer.in_progress_size() > ROW_GROUP {
            self.writer.flush().map_err(DataFusionError::from)?;
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.writer.into_inner().map_err(DataFusionError::from)?.close()
    }
}
