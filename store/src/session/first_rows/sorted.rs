//! The first row of each group by sorting: slower, and bounded by the disk instead of by the memory.
//!
//! In: rows in any order. Out: the first of each group, in the order of the groups.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{SortOptions, filter_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::best::evaluate;

/// How rows are grouped, and which is the first.
pub(super) struct Sorted {
    pub keys: Vec<Arc<dyn PhysicalExpr>>,
    pub order: Vec<PhysicalSortExpr>,
}

impl Sorted {
    /// The first rows of a stream.
    pub async fn first_rows(
        self,
        rows: BoxStream<'static, Result<RecordBatch>>,
        context: Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let mut rows = rows.peekable();
        let schema = match std::pin::Pin::new(&mut rows).peek().await {
            Some(Ok(batch)) => batch.schema(),
            _ => return Ok(rows.boxed()),
        };
        let by_key = self.keys.iter().map(|key| PhysicalSortExpr::new(key.clone(), SortOptions::default()));
        let ordering = LexOrdering::new(by_key.chain(self.order.iter().cloned()))
            .ok_or_else(|| internal_datafusion_err!("no key to sort by"))?;
        let once = Once { schema: schema.clone(), rows: Mutex::new(Some(rows.boxed())) };
        let input = StreamingTableExec::try_new(schema.clone(), vec![Arc::new(once)], None, [], false, None)?;
        let sorted = SortExec::new(ordering, Arc::new(input)).execute(0, context)?;
        let field = |key: &Arc<dyn PhysicalExpr>| Ok(SortField::new(key.data_type(&schema)?));
        let fields: Result<Vec<SortField>> = self.keys.iter().map(field).collect();
        let (converter, keys) = (RowConverter::new(fields?)?, self.keys);
        let mut last: Option<OwnedRow> = None;
        Ok(sorted.map(move |batch| begins(&batch?, &keys, &converter, &mut last)).boxed())
    }
}

/// The rows whose key is another than that of the row before.
fn begins(
    batch: &RecordBatch,
    keys: &[Arc<dyn PhysicalExpr>],
    converter: &RowConverter,
    last: &mut Option<OwnedRow>,
) -> Result<RecordBatch> {
    let rows = converter.convert_columns(&evaluate(keys.iter(), batch)?)?;
    let is_new = |row: usize| match row.checked_sub(1) {
        Some(before) => rows.row(before) != rows.row(row),
        None => last.as_ref().is_none_or(|last| last.row() != rows.row(row)),
    };
    let mask: BooleanArray = (0..batch.num_rows()).map(|row| Some(is_new(row))).collect();
    if let Some(end) = batch.num_rows().checked_sub(1) {
        *last = Some(rows.row(end).owned());
    }
    Ok(filter_record_batch(batch, &mask)?)
}

/// A stream that can be read once, as an input of a plan.
struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<BoxStream<'static, Result<RecordBatch>>>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner).take();
        let rows = rows.unwrap_or_else(|| {
            futures::stream::iter([Err(internal_datafusion_err!("rows that were read already"))]).boxed()
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}
