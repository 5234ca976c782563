//! The read of a table that other machines can do: a leaf that says what to read instead of holding it open.
//!
//! In: a table's place and version, its fragments in groups of about equally many rows, columns, a filter and a limit.
//! Out: one partition per group, each read where it is asked for. A plan for a cluster is made over these leaves from
//! the start ([`super::tables`]), because the engine decides by the number of a leaf's partitions what has to be
//! brought together above it: to exchange leaves in a finished plan would give wrong rows. What this machine answers by
//! itself is read in another way ([`super::scan`]).
//!
//! What travels is [`TableRead`], plain data. It names no credentials: whoever reads has its own. The table is opened
//! once a process ([`super::opened`]).

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::exec_datafusion_err;
use datafusion::common::stats::Precision;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{BinaryExpr, Operator, expr::InList};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream, Statistics,
    execute_stream,
};
use datafusion::prelude::Expr;
use futures::TryStreamExt;
use lance::Dataset;

use super::opened;

/// Bytes of a batch aimed at: rows may hold images.
const BATCH_BYTES: u64 = 16 << 20;
/// Bytes on their way from the disk or the store to one partition.
const BUFFER_BYTES: u64 = 64 << 20;
/// Batches of a partition decoded side by side: a task has about one core.
const BATCHES_AHEAD: usize = 2;

/// What is read: all that travels.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRead {
    /// Where the table lies, as Lance takes it.
    pub uri: String,
    /// Which version of it.
    pub version: u64,
    /// What each partition reads; at least one.
    pub groups: Vec<FragmentGroup>,
    /// Columns, in order.
    pub columns: Vec<String>,
    /// Their types.
    pub schema: SchemaRef,
    /// Rows that are wanted; all where there is none.
    pub filter: Option<Expr>,
    /// Most rows of a partition.
    pub limit: Option<usize>,
    /// Rows of a batch.
    pub batch_rows: usize,
}

/// Fragments that are read one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FragmentGroup {
    /// Their ids.
    pub fragments: Vec<u64>,
    /// Rows in them, deleted ones not counted; none where the table does not say.
    pub rows: Option<u64>,
}

/// The leaf.
#[derive(Debug)]
pub struct LanceScan {
    read: Arc<TableRead>,
    /// Open already, where the plan was made.
    dataset: Option<Arc<Dataset>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl TableRead {
    /// All rows of an open table, or of some of its fragments, in at most so many groups.
    pub(super) fn of(
        dataset: &Dataset,
        only: Option<&[u64]>,
        groups: usize,
        schema: &SchemaRef,
        projection: Option<&Vec<usize>>,
    ) -> Result<Self> {
        let wanted = dataset.fragments().iter().filter(|fragment| only.is_none_or(|only| only.contains(&fragment.id)));
        let fragments = wanted.map(|fragment| {
            (fragment.id, fragment.num_rows().map(|rows| rows as u64), fragment.physical_rows.unwrap_or(0) as u64)
        });
        let schema = match projection {
            Some(columns) => Arc::new(schema.project(columns)?),
            None => schema.clone(),
        };
        Ok(Self {
            uri: dataset.uri().to_owned(),
            version: dataset.version().version,
            groups: pack(fragments.collect(), groups),
            columns: schema.fields().iter().map(|field| field.name().clone()).collect(),
            schema,
            filter: None,
            limit: None,
            batch_rows: super::BATCH_ROWS,
        })
    }

    /// The rows of one group.
    async fn stream(
        &self,
        dataset: Arc<Dataset>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let group = self.group(partition)?;
        let fragments: Vec<_> =
            dataset.fragments().iter().filter(|fragment| group.fragments.contains(&fragment.id)).cloned().collect();
        if fragments.len() != group.fragments.len() {
            return Err(exec_datafusion_err!("version {} of {} lacks fragments of this plan", self.version, self.uri));
        }
        let mut scan = dataset.scan();
        scan.with_fragments(fragments).scan_in_order(false);
        scan.project(&self.columns)?;
        if let Some(filter) = &self.filter {
            scan.filter_expr(filter.clone());
        }
        scan.limit(self.limit.map(|limit| limit as i64), None)?;
        scan.batch_size(self.batch_rows).batch_size_bytes(BATCH_BYTES).io_buffer_size(BUFFER_BYTES);
        scan.batch_readahead(BATCHES_AHEAD).fragment_readahead(1).target_parallelism(1);
        execute_stream(scan.create_plan().await?, context)
    }

    fn group(&self, partition: usize) -> Result<&FragmentGroup> {
        self.groups.get(partition).ok_or_else(|| exec_datafusion_err!("{} has no partition {partition}", self.uri))
    }

    /// The batch with the schema that the plan knows: Lance's own may differ in its metadata.
    fn shaped(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), batch.columns().to_vec(), &options)?)
    }
}

/// Whether a read looks for some faces by their ids. An index answers that, and each partition would ask it again.
pub(super) fn is_lookup(filters: &[Expr]) -> bool {
    filters.iter().flat_map(split_conjunction).any(names_faces)
}

/// The optimiser makes comparisons of a short list.
fn names_faces(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => is_face_id(left) || is_face_id(right),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => names_faces(left) && names_faces(right),
        Expr::InList(InList { expr, negated: false, .. }) => is_face_id(expr),
        _ => false,
    }
}

fn is_face_id(expr: &Expr) -> bool {
    matches!(expr, Expr::Column(column) if column.name == "face_id")
}

/// Fragments (id, rows, rows with deleted ones) in at most so many groups: the largest first, each to the group that
/// has the fewest rows so far.
fn pack(mut fragments: Vec<(u64, Option<u64>, u64)>, most: usize) -> Vec<FragmentGroup> {
    let mut groups =
        vec![(0, FragmentGroup { fragments: Vec::new(), rows: Some(0) }); most.clamp(1, fragments.len().max(1))];
    fragments.sort_by_key(|(id, _, size)| (Reverse(*size), *id));
    for (id, rows, size) in fragments {
        if let Some((taken, group)) = groups.iter_mut().min_by_key(|(taken, _)| *taken) {
            *taken += size.max(1);
            group.fragments.push(id);
            group.rows = group.rows.zip(rows).map(|(sum, rows)| sum + rows);
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

impl LanceScan {
    /// The leaf of a plan that came from elsewhere.
    pub fn new(read: TableRead) -> Self {
        Self::over(None, read)
    }

    /// The leaf over a table that is open.
    pub(super) fn of(dataset: Arc<Dataset>, read: TableRead) -> Self {
        Self::over(Some(dataset), read)
    }

    fn over(dataset: Option<Arc<Dataset>>, read: TableRead) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(read.schema.clone()),
            Partitioning::UnknownPartitioning(read.groups.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            read: Arc::new(read),
            dataset,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// What it reads.
    pub fn read(&self) -> &TableRead {
        &self.read
    }
}

impl DisplayAs for LanceScan {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = &self.read;
        write!(f, "LanceScan: uri={}, version={}, groups={}", read.uri, read.version, read.groups.len())?;
        write!(f, ", columns=[{}]", read.columns.join(", "))?;
        if let Some(filter) = &read.filter {
            write!(f, ", filter={filter}")?;
        }
        read.limit.map_or(Ok(()), |limit| write!(f, ", limit={limit}"))
    }
}

impl ExecutionPlan for LanceScan {
    fn name(&self) -> &str {
        "LanceScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (read, dataset) = (self.read.clone(), self.dataset.clone());
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let stream = futures::stream::once(async move {
            let dataset = match dataset {
                Some(dataset) => dataset,
                None => opened::open(&read.uri, read.version, context.session_config()).await?,
            };
            let rows = read.stream(dataset, partition, context).await?;
            Ok::<_, DataFusionError>(rows.and_then(move |batch| {
                metrics.record_output(batch.num_rows());
                std::future::ready(read.shaped(&batch))
            }))
        });
        let stream = stream.try_flatten().map_err(opened::passing_as_io);
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.read.schema.clone(), stream)))
    }

    /// Exact without a filter: the table's manifest says how many rows each fragment has.
    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let groups = match partition {
            Some(partition) => std::slice::from_ref(self.read.group(partition)?),
            None => self.read.groups.as_slice(),
        };
        let limited = |rows: u64| self.read.limit.map_or(rows, |limit| rows.min(limit as u64));
        let rows = groups.iter().map(|group| group.rows.map(limited)).sum::<Option<u64>>();
        let num_rows = match (rows, &self.read.filter) {
            (Some(rows), None) => Precision::Exact(rows as usize),
            (Some(rows), Some(_)) => Precision::Inexact(rows as usize),
            (None, _) => Precision::Absent,
        };
        Ok(Arc::new(Statistics { num_rows, ..Statistics::new_unknown(&self.read.schema) }))
    }

    /// Each partition ends there; what brings them together counts again.
    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        let limit = limit.map(|limit| self.read.limit.map_or(limit, |own| own.min(limit)));
        let read = TableRead { limit, ..self.read.as_ref().clone() };
        Some(Arc::new(Self::over(self.dataset.clone(), read)))
    }

    fn fetch(&self) -> Option<usize> {
        self.read.limit
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Filters as one.
pub(super) fn all_of(filters: &[Expr]) -> Option<Expr> {
    conjunction(filters.iter().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_about_equally_many_rows() {
        let fragments: Vec<_> = (0..20).map(|id| (id, Some(100 + id), 100 + id)).collect();
        let groups = pack(fragments, 6);
        assert_eq!(groups.len(), 6);
        let rows: Vec<u64> = groups.iter().map(|group| group.rows.expect("counted")).collect();
        assert_eq!(rows.iter().sum::<u64>(), 2190);
        assert!(rows.iter().max().expect("groups") - rows.iter().min().expect("groups") <= 120, "{rows:?}");
        let mut ids: Vec<u64> = groups.into_iter().flat_map(|group| group.fragments).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn no_group_is_empty_unless_the_table_is() {
        assert_eq!(pack(vec![(7, None, 3)], 4), [FragmentGroup { fragments: vec![7], rows: None }]);
        assert_eq!(pack(Vec::new(), 4), [FragmentGroup { fragments: Vec::new(), rows: Some(0) }]);
    }
}
