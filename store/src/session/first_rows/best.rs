//! The best row of each group so far.
//!
//! In: batches of rows. Out: the rows that come first in their group. Batches are kept as they are, with a hash table of the
//! groups beside them; only rows of a group that was seen before are compared.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, UInt64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::common::exec_datafusion_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;
use datafusion::physical_plan::metrics::BaselineMetrics;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::sorted::Sorted;

/// The fifths of the query memory that one partition may take: two of them leave one to those that sort and join.
const FIFTHS: usize = 2;

/// The first rows of a stream, once all of it was read.
pub(super) async fn first_rows(
    mut best: Best,
    mut input: SendableRecordBatchStream,
    context: Arc<TaskContext>,
    partition: usize,
    schema: SchemaRef,
    metrics: BaselineMetrics,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let most = match context.memory_pool().memory_limit() {
        MemoryLimit::Finite(bytes) => bytes / 5 * FIFTHS,
        MemoryLimit::Infinite | MemoryLimit::Unknown => usize::MAX,
    };
    let memory = MemoryConsumer::new(format!("FirstRows[{partition}]")).register(context.memory_pool());
    while let Some(batch) = input.next().await {
        let timer = metrics.elapsed_compute().timer();
        best.add(batch?)?;
        timer.done();
        let bytes = best.bytes();
        if bytes > most || matches!(memory.try_resize(bytes), Err(DataFusionError::ResourcesExhausted(_))) {
            let sorted = Sorted { keys: best.keys, order: best.order };
            let all = futures::stream::iter(best.batches.into_iter().map(Ok)).chain(input).boxed();
            drop(memory);
            let rows = sorted.first_rows(all, context).await?;
            return Ok(rows.map(move |batch| numbered(&batch?, &schema, &metrics)).boxed());
        }
    }
    let timer = metrics.elapsed_compute().timer();
    let kept = best.kept();
    timer.done();
    // The groups are gone; the batches go one by one.
    memory.resize(kept.iter().map(|(batch, _)| size(batch)).sum());
    let rows = futures::stream::iter(kept).map(move |(batch, mask)| {
        memory.shrink(size(&batch));
        let batch = if mask.true_count() == batch.num_rows() { batch } else { filter_record_batch(&batch, &mask)? };
        numbered(&batch, &schema, &metrics)
    });
    Ok(rows.try_filter(|batch| std::future::ready(batch.num_rows() > 0)).boxed())
}

/// The rows with the number one behind each.
fn numbered(batch: &RecordBatch, schema: &SchemaRef, metrics: &BaselineMetrics) -> Result<RecordBatch> {
    metrics.record_output(batch.num_rows());
    let ones: ArrayRef = Arc::new(UInt64Array::from_value(1, batch.num_rows()));
    let columns = batch.columns().iter().cloned().chain([ones]).collect();
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Where a row stands: its batch, and its place in it.
#[derive(Clone, Copy)]
struct Place {
    batch: u32,
    row: u32,
}

/// The batches read so far and the best row of each of their groups.
pub(super) struct Best {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    order: Vec<PhysicalSortExpr>,
    /// Numbers the groups in the order in which they turn up.
    groups: Box<dyn GroupValues>,
    /// By number of the group.
    rows: Vec<Place>,
    batches: Vec<RecordBatch>,
    /// Makes values of `order` comparable; none where all rows of a group are alike.
    converter: Option<RowConverter>,
    /// The order of each batch in which a group turned up again.
    orders: Vec<Option<Rows>>,
    bytes: usize,
    numbers: Vec<usize>,
}

impl Best {
    /// Whether rows of this schema can be grouped and compared so.
    pub fn can_compare(keys: &[Arc<dyn PhysicalExpr>], order: &[PhysicalSortExpr], schema: &Schema) -> Result<bool> {
        let all = keys.iter().chain(order.iter().map(|sort| &sort.expr));
        let fields: Result<Vec<SortField>> = all.map(|expr| Ok(SortField::new(expr.data_type(schema)?))).collect();
        Ok(RowConverter::supports_fields(&fields?))
    }

    /// Nothing read yet.
    pub fn new(keys: Vec<Arc<dyn PhysicalExpr>>, order: Vec<PhysicalSortExpr>, schema: SchemaRef) -> Result<Self> {
        let field = |expr: &Arc<dyn PhysicalExpr>| Ok(Field::new("key", expr.data_type(&schema)?, true));
        let fields: Result<Vec<Field>> = keys.iter().map(field).collect();
        let groups = new_group_values(Arc::new(Schema::new(fields?)), &GroupOrdering::None)?;
        let sort =
            |sort: &PhysicalSortExpr| Ok(SortField::new_with_options(sort.expr.data_type(&schema)?, sort.options));
        let sorts: Result<Vec<SortField>> = order.iter().map(sort).collect();
        let converter = if order.is_empty() { None } else { Some(RowConverter::new(sorts?)?) };
        let (rows, batches, orders, numbers) = Default::default();
        Ok(Self { keys, order, groups, rows, batches, converter, orders, bytes: 0, numbers })
    }

    /// Takes rows in.
    pub fn add(&mut self, batch: RecordBatch) -> Result<()> {
        let keys = evaluate(self.keys.iter(), &batch)?;
        let mut numbers = std::mem::take(&mut self.numbers);
        self.groups.intern(&keys, &mut numbers)?;
        let at = self.batches.len();
        self.bytes += size(&batch);
        self.batches.push(batch);
        self.orders.push(None);
        let batch = u32::try_from(at).map_err(|_| exec_datafusion_err!("more batches than can be numbered"))?;
        for (row, &group) in (0..).zip(&numbers) {
            let place = Place { batch, row };
            match self.rows.get(group) {
                None => self.rows.push(place),
                Some(&best) => {
                    if self.comes_before(place, best)? {
                        self.rows[group] = place;
                    }
                }
            }
        }
        self.numbers = numbers;
        Ok(())
    }

    /// What all of it takes.
    pub fn bytes(&self) -> usize {
        self.bytes + self.groups.size() + self.rows.capacity() * size_of::<Place>()
    }

    /// Each batch with the rows of it that are first in their group.
    pub fn kept(self) -> Vec<(RecordBatch, BooleanArray)> {
        let mask = |batch: &RecordBatch| {
            let mut mask = BooleanBufferBuilder::new(batch.num_rows());
            mask.append_n(batch.num_rows(), false);
            mask
        };
        let mut masks: Vec<BooleanBufferBuilder> = self.batches.iter().map(mask).collect();
        for place in self.rows {
            masks[place.batch as usize].set_bit(place.row as usize, true);
        }
        let masks = masks.into_iter().map(|mut mask| BooleanArray::new(mask.finish(), None));
        self.batches.into_iter().zip(masks).collect()
    }

    fn comes_before(&mut self, one: Place, other: Place) -> Result<bool> {
        for at in [one.batch as usize, other.batch as usize] {
            let Some(converter) = &self.converter else { return Ok(false) };
            if self.orders[at].is_none() {
                let columns = evaluate(self.order.iter().map(|sort| &sort.expr), &self.batches[at])?;
                let rows = converter.convert_columns(&columns)?;
                self.bytes += rows.size();
                self.orders[at] = Some(rows);
            }
        }
        let order = |place: Place| {
            let rows = self.orders[place.batch as usize].as_ref();
            rows.map(|rows| rows.row(place.row as usize)).ok_or_else(|| exec_datafusion_err!("a batch has no order"))
        };
        Ok(order(one)? < order(other)?)
    }
}

/// What a batch takes. An exchange hands each side a part of the same buffers, of which that part counts, once; of lists and
/// views, which do not tell parts apart, all counts.
fn size(batch: &RecordBatch) -> usize {
    let column = |column: &ArrayRef| match column.data_type() {
        DataType::Utf8View | DataType::BinaryView => column.get_array_memory_size(),
        nested if nested.is_nested() => column.get_array_memory_size(),
        _ => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    };
    batch.columns().iter().map(column).sum()
}

/// The values of some expressions for each row.
pub(super) fn evaluate<'a>(
    expressions: impl Iterator<Item = &'a Arc<dyn PhysicalExpr>>,
    batch: &RecordBatch,
) -> Result<Vec<ArrayRef>> {
    expressions.map(|expr| expr.evaluate(batch)?.into_array(batch.num_rows())).collect()
}
