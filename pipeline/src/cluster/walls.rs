//! Which plans run on the cluster.
//!
//! In: a plan, as our session made it, as it came over the wire, or as a task is about to run it. Out: yes, or the node
//! that is not allowed. The engine's format can carry reads and writes of files; here a plan reads tables of ours and
//! rows that it carries with it, and nothing else. What whoever submits a plan may not name are the nodes that the
//! scheduler puts between stages: they fetch from any machine that they name.
//!
//! And a join that would give wrong rows: cut into tasks, each of which sees all rows of the left side and a part of the
//! right one, a nested join that says something of left rows by themselves says it once a task.

use std::any::Any;
use std::sync::Arc;

use ballista_core::error::BallistaError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, exec_err, plan_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_proto::logical_plan::{AsLogicalPlan, LogicalExtensionCodec};
use datafusion_proto::physical_plan::{AsExecutionPlan, PhysicalExtensionCodec};
use datafusion_proto::protobuf::PhysicalPlanNode;
use prost::bytes::BufMut;

/// Nodes of a plan, by their names.
const NODES: &[&str] = &[
    "AggregateExec",
    "BoundedWindowAggExec",
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "CooperativeExec",
    "CrossJoinExec",
    "EmptyExec",
    "FilterExec",
    "GlobalLimitExec",
    "HashJoinExec",
    "InterleaveExec",
    "LanceScan",
    "LocalLimitExec",
    "NestedLoopJoinExec",
    "PlaceholderRowExec",
    "ProjectionExec",
    "RepartitionExec",
    "SortExec",
    "SortExec(TopK)",
    "SortMergeJoinExec",
    "SortPreservingMergeExec",
    "UnionExec",
    "UnnestExec",
    "WindowAggExec",
];

/// Nodes that the scheduler puts between stages.
const BETWEEN_STAGES: &[&str] = &["ShuffleReaderExec", "ShuffleWriterExec", "SortShuffleWriterExec"];

/// Why a plan of our own session cannot run there; none where it can.
pub fn stays(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<String>> {
    if let Some(name) = foreign(plan, &[])? {
        return Ok(Some(format!("{name} does not travel")));
    }
    let mut why = None;
    plan.apply(|node| {
        why = spoils(node);
        Ok(if why.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(why)
}

/// Refuses a job whose name is no plain one: its tasks write below the work folder, into a folder of that name.
pub fn check_job(name: &str) -> Result<()> {
    match !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => exec_err!("`{name}` is no job of this cluster's scheduler"),
    }
}

/// Refuses a stage with a node that is none of ours.
pub fn check_stage(plan: &Arc<dyn ExecutionPlan>) -> Result<()> {
    match foreign(plan, BETWEEN_STAGES)? {
        Some(name) => exec_err!("{name} is not allowed here: this cluster reads its corpora and nothing else"),
        None => Ok(()),
    }
}

/// The first node that is neither one of ours nor one of `more`.
fn foreign(plan: &Arc<dyn ExecutionPlan>, more: &[&str]) -> Result<Option<String>> {
    let mut found = None;
    plan.apply(|node| {
        if !NODES.contains(&node.name()) && !more.contains(&node.name()) && !holds_its_rows(node) {
            found = Some(node.name().to_owned());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// A source whose rows are part of the plan.
fn holds_its_rows(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.downcast_ref::<DataSourceExec>().is_some_and(|exec| {
        let source: &dyn Any = exec.data_source().as_ref();
        source.downcast_ref::<MemorySourceConfig>().is_some()
    })
}

/// Why the node would give wrong rows, cut into tasks.
fn spoils(node: &Arc<dyn ExecutionPlan>) -> Option<String> {
    use JoinType as J;
    let join = node.downcast_ref::<NestedLoopJoinExec>()?;
    let of_left_rows = matches!(join.join_type(), J::Left | J::Full | J::LeftSemi | J::LeftAnti | J::LeftMark);
    let parts = join.right().output_partitioning().partition_count();
    (of_left_rows && parts > 1).then(|| format!("a nested {} join of {parts} parts", join.join_type()))
}

/// A physical plan, as the scheduler takes it from whoever submits one.
#[derive(Clone, Debug)]
pub struct OurPlan(PhysicalPlanNode);

impl AsExecutionPlan for OurPlan {
    fn try_decode(buf: &[u8]) -> Result<Self> {
        Ok(Self(<PhysicalPlanNode as AsExecutionPlan>::try_decode(buf)?))
    }

    fn try_encode<B: BufMut>(&self, buf: &mut B) -> Result<()> {
        self.0.try_encode(buf)
    }

    fn try_into_physical_plan(
        &self,
        ctx: &TaskContext,
        codec: &dyn PhysicalExtensionCodec,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.0.try_into_physical_plan(ctx, codec)?;
        match foreign(&plan, &[])? {
            Some(name) => plan_err!("{name} is not allowed here: this cluster reads its corpora and nothing else"),
            None => Ok(plan),
        }
    }

    fn try_from_physical_plan(plan: Arc<dyn ExecutionPlan>, codec: &dyn PhysicalExtensionCodec) -> Result<Self> {
        Ok(Self(PhysicalPlanNode::try_from_physical_plan(plan, codec)?))
    }
}

/// A logical plan, of which the scheduler takes none: it would plan without the walls of a session.
#[derive(Clone, Debug)]
pub struct NoLogicalPlan;

impl AsLogicalPlan for NoLogicalPlan {
    fn try_decode(_buf: &[u8]) -> Result<Self> {
        no_logical_plan()
    }

    fn try_encode<B: BufMut>(&self, _buf: &mut B) -> Result<()> {
        no_logical_plan()
    }

    fn try_into_logical_plan(&self, _ctx: &TaskContext, _codec: &dyn LogicalExtensionCodec) -> Result<LogicalPlan> {
        no_logical_plan()
    }

    fn try_from_logical_plan(_plan: &LogicalPlan, _codec: &dyn LogicalExtensionCodec) -> Result<Self> {
        no_logical_plan()
    }
}

fn no_logical_plan<T>() -> Result<T> {
    plan_err!("this cluster takes physical plans of marginalia's sessions only")
}

/// Ballista's words.
pub fn words(error: BallistaError) -> String {
    match error {
        BallistaError::DataFusionError(error) => error.strip_backtrace(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use ballista_core::extension::SessionConfigExt;
    use datafusion::arrow::array::{Int32Array, RecordBatch};
    use datafusion::arrow::datatypes::{DataType, Field, Schema};
    use datafusion::datasource::MemTable;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    async fn planned(sql: &str) -> Arc<dyn ExecutionPlan> {
        let context = SessionContext::new_with_config(SessionConfig::new_with_ballista().with_target_partitions(2));
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int32, true)]));
        let batch = |values: Vec<Option<i32>>| {
            RecordBatch::try_new(schema.clone(), vec![Arc::new(Int32Array::from(values))]).expect("a batch")
        };
        let parts = vec![vec![batch(vec![Some(1), None])], vec![batch(vec![Some(2), Some(3)])]];
        let table = Arc::new(MemTable::try_new(schema.clone(), parts).expect("a table"));
        context.register_table("t", table).expect("a table");
        context.sql(sql).await.expect(sql).create_physical_plan().await.expect(sql)
    }

    #[tokio::test]
    async fn what_would_be_said_once_a_task_stays() {
        for sql in [
            "select * from t l left join t r on l.a < r.a",
            "select * from t l full join t r on l.a < r.a",
            "select * from generate_series(1, 3)",
        ] {
            assert!(stays(&planned(sql).await).expect(sql).is_some(), "{sql}");
        }
        for sql in ["select a, count(*) from t group by a order by a", "select * from t l join t r on l.a < r.a"] {
            assert_eq!(stays(&planned(sql).await).expect(sql), None, "{sql}");
        }
    }

    #[test]
    fn a_job_is_no_way_out_of_the_work_folder() {
        assert!(check_job("aB3xY7z").is_ok());
        for name in ["", ".", "..", "../../home", "/etc", "a/b"] {
            assert!(check_job(name).is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_plan_that_reads_a_file_is_no_stage_of_ours() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets.csv");
        std::fs::write(&path, "a\n1\n").expect("a file");
        let context = SessionContext::new();
        let options = datafusion::prelude::CsvReadOptions::new();
        let frame = context.read_csv(path.to_str().expect("UTF-8"), options).await.expect("a file");
        let plan = frame.create_physical_plan().await.expect("a plan");
        let refused = check_stage(&plan).expect_err("refused").to_string();
        assert!(refused.contains("DataSourceExec is not allowed here"), "{refused}");
    }
}
