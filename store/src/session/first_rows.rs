//! The first row of each group, without sorting all of them.
//!
//! In: a plan that numbers the rows of each group and keeps number one (`row_number() over (partition by … order by …) as
//! place … where place = 1`), as the views do wherever the latest, the earliest or the best counts. Out: the same rows from
//! one pass over the input: a hash table of the groups and the best row of each so far. The engine would sort everything and
//! then start anew for every group, which takes ten times as long where nearly every group has one row. Where the memory is
//! not enough, the rest is sorted after all, since a sort can use the disk.

mod best;
mod sorted;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_expr::utils::{conjunction, split_conjunction};
use datafusion::physical_expr::window::StandardWindowExpr;
use datafusion::physical_expr::{Distribution, EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, SendableRecordBatchStream,
    Statistics,
};
use futures::TryStreamExt;

use best::Best;

/// Finds such plans. It stands before the rules that decide how rows are spread and sorted.
#[derive(Debug)]
pub(super) struct FirstRows;

impl PhysicalOptimizerRule for FirstRows {
    fn name(&self) -> &str {
        "first_rows"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let replaced = plan.transform_up(|node| match replacement(&node)? {
            Some(other) => Ok(Transformed::yes(other)),
            None => Ok(Transformed::no(node)),
        })?;
        Ok(replaced.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What can stand in the place of a filter over numbered rows.
fn replacement(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(filter) = node.downcast_ref::<FilterExec>().filter(|filter| filter.projection().is_none()) else {
        return Ok(None);
    };
    let projection = filter.input().downcast_ref::<ProjectionExec>();
    let numbered = projection.map_or(filter.input(), |projection| projection.input());
    let Some((window, order)) = numbered.downcast_ref::<BoundedWindowAggExec>().and_then(row_numbers) else {
        return Ok(None);
    };
    let number = window.input().schema().fields().len();
    let is_number = |index: usize| match projection {
        None => index == number,
        Some(projection) => projection
            .expr()
            .get(index)
            .and_then(|column| column.expr.downcast_ref::<Column>())
            .is_some_and(|column| column.index() == number),
    };
    let (first, others): (Vec<_>, Vec<_>) =
        split_conjunction(filter.predicate()).into_iter().partition(|part| is_one(part).is_some_and(is_number));
    let keys = window.window_expr()[0].partition_by().to_vec();
    if first.is_empty() || keys.is_empty() || !Best::can_compare(&keys, order, &window.input().schema())? {
        return Ok(None);
    }
    let exec = FirstRowsExec::new(window.input().clone(), keys, order.to_vec(), window.schema());
    let mut plan: Arc<dyn ExecutionPlan> = Arc::new(exec);
    if projection.is_some() {
        plan = filter.input().clone().with_new_children(vec![plan])?;
    }
    if !others.is_empty() {
        plan = Arc::new(FilterExec::try_new(conjunction(others.into_iter().cloned()), plan)?);
    }
    Ok(Some(plan))
}

/// A window that does nothing but number rows, with the order it numbers them in.
fn row_numbers(window: &BoundedWindowAggExec) -> Option<(&BoundedWindowAggExec, &[PhysicalSortExpr])> {
    let [only] = window.window_expr() else { return None };
    let function = only.as_any().downcast_ref::<StandardWindowExpr>()?.get_standard_func_expr();
    let function = function.as_any().downcast_ref::<WindowUDFExpr>()?;
    (function.fun().name() == "row_number").then_some((window, only.order_by()))
}

/// The column that must be one.
fn is_one(predicate: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    let equal = predicate.downcast_ref::<BinaryExpr>().filter(|binary| *binary.op() == Operator::Eq)?;
    let sides = [(equal.left(), equal.right()), (equal.right(), equal.left())];
    sides.into_iter().find_map(|(column, value)| {
        let value = value.downcast_ref::<Literal>()?.value();
        let column = column.downcast_ref::<Column>()?;
        (*value == ScalarValue::UInt64(Some(1))).then(|| column.index())
    })
}

/// The first row of each group of the input, and the number one behind it.
#[derive(Debug)]
struct FirstRowsExec {
    input: Arc<dyn ExecutionPlan>,
    keys: Vec<Arc<dyn PhysicalExpr>>,
    order: Vec<PhysicalSortExpr>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl FirstRowsExec {
    fn new(
        input: Arc<dyn ExecutionPlan>,
        keys: Vec<Arc<dyn PhysicalExpr>>,
        order: Vec<PhysicalSortExpr>,
        schema: SchemaRef,
    ) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema.clone()),
            input.output_partitioning().clone(),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        Self { input, keys, order, schema, properties, metrics: ExecutionPlanMetricsSet::new() }
    }
}

impl DisplayAs for FirstRowsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        let order: Vec<String> = self.order.iter().map(ToString::to_string).collect();
        write!(f, "FirstRowsExec: partition=[{}], order=[{}]", keys.join(", "), order.join(", "))
    }
}

impl ExecutionPlan for FirstRowsExec {
    fn name(&self) -> &str {
        "FirstRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::HashPartitioned(self.keys.clone())]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("FirstRowsExec has one input");
        };
        Ok(Arc::new(Self::new(input, self.keys.clone(), self.order.clone(), self.schema.clone())))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context.clone())?;
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let best = Best::new(self.keys.clone(), self.order.clone(), input.schema())?;
        let stream = best::first_rows(best, input, context, partition, self.schema.clone(), metrics);
        let stream = futures::stream::once(stream).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream)))
    }

    /// As many rows as come in, at most; without it a join above would take this side for one of unknown size.
    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let input = self.input.partition_statistics(partition)?;
        let (num_rows, total_byte_size) = (input.num_rows.to_inexact(), input.total_byte_size.to_inexact());
        Ok(Arc::new(Statistics { num_rows, total_byte_size, ..Statistics::new_unknown(&self.schema) }))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
