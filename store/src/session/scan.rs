//! One read of a table, as the planner sees it.
//!
//! In: the plan that Lance makes for a read. Out: a leaf that answers from memory how many rows it has, and that several
//! threads read where the table is large. Sessions read all tables so, unless [`Scan`] says otherwise.
//!
//! The engine's rules ask for the statistics of everything below each node again and again, and Lance works those of a
//! filtered read out anew each time, which was a third of planning. [`BareScans`] leaves Lance's own plan where the leaf
//! stood, once the rules are done. Lance's plans have one partition, whose batches are all decoded by the thread that asks
//! for them; the other core waits. A read of as many partitions as the plan has hands its batches to whoever is ready.
//!
//! The leaf that travels ([`super::lance_scan`]) is another one: it can name no more than fragments, in groups that stay as
//! they are. The rows of one round stand together in a fragment or two, and one thread would read them all.

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
use datafusion::prelude::SessionConfig;
use lance::io::exec::filtered_read::{FilteredReadExec, FilteredReadThreadingMode};

/// Rows of a table from which it is read by several threads.
const SPLIT_FROM_ROWS: usize = 65_536;

/// How tables are read. It stands in a state's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scan {
    /// As Lance's own provider does it: in one partition.
    Provider,
    /// In as many partitions as a plan has, which share the batches.
    #[default]
    Shared,
    /// In so many groups of fragments for each partition of a plan, by leaves that travel ([`super::LanceScan`]).
    Groups(usize),
}

impl Scan {
    /// What the settings say.
    pub(super) fn of(config: &SessionConfig) -> Self {
        config.get_extension::<Self>().as_deref().copied().unwrap_or_default()
    }

    /// Groups of fragments in a plan with these settings, where it has such.
    pub(super) fn groups(self, config: &SessionConfig) -> usize {
        let each = if let Self::Groups(each) = self { each } else { 1 };
        each.saturating_mul(config.target_partitions())
    }
}

/// The read of a table.
#[derive(Debug)]
pub(super) struct ScanExec {
    read: Arc<dyn ExecutionPlan>,
    statistics: OnceLock<Arc<Statistics>>,
}

impl ScanExec {
    /// Takes a plan of Lance's, to be read by so many threads.
    pub fn try_new(read: Arc<dyn ExecutionPlan>, partitions: usize) -> Result<Self> {
        Ok(Self::whole(split(&read, partitions)?.unwrap_or(read)))
    }

    fn whole(read: Arc<dyn ExecutionPlan>) -> Self {
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
        Some(Arc::new(Self::whole(self.read.with_fetch(limit)?)))
    }

    fn fetch(&self) -> Option<usize> {
        self.read.fetch()
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.read.cardinality_effect()
    }
}

/// The same read in so many partitions, where there is anything to share. A read with a limit of its own has one.
fn split(read: &Arc<dyn ExecutionPlan>, partitions: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(scan) = read.downcast_ref::<FilteredReadExec>() else { return Ok(None) };
    let rows: usize = scan.dataset().fragments().iter().filter_map(|fragment| fragment.num_rows()).sum();
    let takes_rows_of_a_stream = scan.index_input().is_none() && !scan.children().is_empty();
    if takes_rows_of_a_stream || scan.fetch().is_some() || rows < SPLIT_FROM_ROWS {
        return Ok(None);
    }
    let options = scan.options().clone().with_threading_mode(FilteredReadThreadingMode::MultiplePartitions(partitions));
    let scan = FilteredReadExec::try_new(scan.dataset().clone(), options, scan.index_input().cloned())?;
    Ok(Some(Arc::new(scan)))
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
