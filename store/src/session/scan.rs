//! One read of a table, as the planner sees it.
//!
//! In: the plan that Lance makes for a read. Out: a leaf that answers from memory how many rows it has. The engine's rules ask
//! for the statistics of everything below each node again and again, and Lance works those of a filtered read out anew each
//! time, which was a third of planning. [`BareScans`] leaves Lance's own plan where the leaf stood, once the rules are done.

use std::fmt;
use std::sync::{Arc, OnceLock};

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream, Statistics,
};

/// The read of a table.
#[derive(Debug)]
pub(super) struct ScanExec {
    read: Arc<dyn ExecutionPlan>,
    statistics: OnceLock<Arc<Statistics>>,
}

impl ScanExec {
    pub fn new(read: Arc<dyn ExecutionPlan>) -> Self {
        Self { read, statistics: OnceLock::new() }
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read.fmt_as(format, f)
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.read.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.read.execute(partition, context)
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        if partition.is_some() {
            return self.read.partition_statistics(partition);
        }
        if let Some(known) = self.statistics.get() {
            return Ok(known.clone());
        }
        let statistics = self.read.partition_statistics(None)?;
        Ok(self.statistics.get_or_init(|| statistics).clone())
    }

    fn supports_limit_pushdown(&self) -> bool {
        self.read.supports_limit_pushdown()
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self::new(self.read.with_fetch(limit)?)))
    }

    fn fetch(&self) -> Option<usize> {
        self.read.fetch()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.read.cardinality_effect()
    }
}

/// Puts Lance's plans in the place of the leaves, for what runs and for the rules that know Lance's plans.
#[derive(Debug)]
pub(super) struct BareScans;

impl PhysicalOptimizerRule for BareScans {
    fn name(&self) -> &str {
        "bare_scans"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let bare = plan.transform_up(|node| match node.downcast_ref::<ScanExec>() {
            Some(scan) => Ok(Transformed::yes(scan.read.clone())),
            None => Ok(Transformed::no(node)),
        })?;
        Ok(bare.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}
