//! What stands around the tasks of an executor.
//!
//! In: a stage that the scheduler sent. Out: Ballista's own way to run it, once the walls have let it through, with joins
//! that let go of their thread, so that a cancelled task ends; what goes wrong says which task it was and where, because
//! the scheduler passes on nothing but words.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::ShuffleWritePartition;
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;
use marginalia_store::cooperative_joins;

use super::walls;

/// Ballista's engine behind the walls.
pub struct Engine {
    ballista: DefaultExecutionEngine,
    machine: SocketAddr,
}

impl Engine {
    /// Of the executor that listens there.
    pub fn new(machine: SocketAddr) -> Self {
        Self { ballista: DefaultExecutionEngine::new(), machine }
    }
}

impl ExecutionEngine for Engine {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        partition_id: usize,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let name = format!("task {partition_id} of stage {stage_id} on {}", self.machine);
        let allowed = walls::check_job(job_id.as_str()).and_then(|()| walls::check_stage(&plan));
        allowed.map_err(|error| error.context(name.clone()))?;
        let plan = cooperative_joins(plan)?;
        let stage = self.ballista.create_query_stage_exec(job_id, stage_id, partition_id, plan, work_dir, config)?;
        Ok(Arc::new(Task { stage, name }))
    }
}

/// A task with its name.
#[derive(Debug)]
struct Task {
    stage: Arc<dyn QueryStageExecutor>,
    name: String,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.stage, f)
    }
}

#[async_trait]
impl QueryStageExecutor for Task {
    async fn execute_query_stage(
        &self,
        input_partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let rows = self.stage.execute_query_stage(input_partition, context).await;
        rows.map_err(|error| error.context(self.name.clone()))
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.stage.collect_plan_metrics()
    }
}
