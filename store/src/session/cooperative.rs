//! Makes joins let go of their thread.
//!
//! The engine's joins never yield while they produce output, so a cross join of two large tables could not be stopped: its
//! task would hold a thread long after its deadline. Wrapped in the engine's own `CooperativeExec`, a join gives its thread
//! back every few batches, and a dropped query ends there. Plans for a cluster are wrapped where they run: on their way
//! they would be deeper for it.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

/// The plan with every join wrapped.
pub fn cooperative_joins(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|node| {
        // By name: all of the engine's joins carry the word, those of later versions too.
        if node.name().contains("Join") {
            return Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>));
        }
        Ok(Transformed::no(node))
    })?;
    Ok(wrapped.data)
}

/// Wraps them in the plans of a session.
#[derive(Debug)]
pub(super) struct CooperativeJoins;

impl PhysicalOptimizerRule for CooperativeJoins {
    fn name(&self) -> &str {
        "cooperative_joins"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        cooperative_joins(plan)
    }

    fn schema_check(&self) -> bool {
        true
    }
}
