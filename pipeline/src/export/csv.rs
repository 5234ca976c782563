//! `csv`: the view's columns, a header line in every part; no images.

use std::path::Path;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::{Writer, WriterBuilder};
use datafusion::arrow::datatypes::SchemaRef;

use super::{Format, Part};
use crate::error::Result;
use crate::part_file::PartFile;

/// `csv`.
pub(super) struct Csv;

impl Format for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn has_images(&self) -> bool {
        false
    }

    fn begin(&self, folder: &Path, number: u32, schema: &SchemaRef) -> Result<Box<dyn Part>> {
        let file = PartFile::create(folder.join(format!("part-{number:05}.csv")))?;
        let mut writer = WriterBuilder::new().with_header(true).build(file);
        writer.write(&RecordBatch::new_empty(schema.clone()))?;
        Ok(Box::new(CsvPart(writer)))
    }
}

struct CsvPart(Writer<PartFile>);

impl Part for CsvPart {
    fn write(&mut self, rows: &RecordBatch, _images: &[Vec<u8>]) -> Result<()> {
        Ok(self.0.write(rows)?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.0.into_inner().close()
    }
}
