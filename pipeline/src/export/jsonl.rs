//! `jsonl`: the view's columns, one object a line; no images.

use std::path::Path;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::json::LineDelimitedWriter;

use super::{Format, Part};
use crate::error::Result;
use crate::part_file::PartFile;

/// `jsonl`.
pub(super) struct Jsonl;

impl Format for Jsonl {
    fn name(&self) -> &'static str {
        "jsonl"
    }

    fn has_images(&self) -> bool {
        false
    }

    fn begin(&self, folder: &Path, number: u32, _schema: &SchemaRef) -> Result<Box<dyn Part>> {
        let file = PartFile::create(folder.join(format!("part-{number:05}.jsonl")))?;
        Ok(Box::new(JsonlPart(LineDelimitedWriter::new(file))))
    }
}

struct JsonlPart(LineDelimitedWriter<PartFile>);

impl Part for JsonlPart {
    fn write(&mut self, rows: &RecordBatch, _images: &[Vec<u8>]) -> Result<()> {
        Ok(self.0.write(rows)?)
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        self.0.finish()?;
        self.0.into_inner().close()
    }
}
