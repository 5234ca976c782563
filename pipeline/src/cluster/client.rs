//! A plan's way to the cluster and its rows' way back.
//!
//! In: a physical plan of one of our sessions. Out: its rows, once the job is done, or an error in the executor's
//! words. A job is given up when nobody wants its rows any more, at its deadline, and when no executor is left:
//! Ballista by itself would wait for ever. Rows stay with the executors until they are fetched, partition after
//! partition.
//!
//! Jobs are submitted and cancelled on the program's own runtime: that of SQL ends with the last session, and what was
//! to be said to the scheduler with it. The process waits a moment for it ([`settle`]).

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use ballista_core::client::BallistaClient;
use ballista_core::error::BallistaError;
use ballista_core::extension::{BallistaConfigGrpcEndpoint, SessionConfigHelperExt};
use ballista_core::serde::protobuf::execute_query_failure_result::Failure;
use ballista_core::serde::protobuf::execute_query_params::Query;
use ballista_core::serde::protobuf::execute_query_result::Result as Submitted;
use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{CancelJobParams, ExecuteQueryParams, GetJobStatusParams, PartitionLocation};
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::prelude::SessionConfig;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::physical_plan_node::PhysicalPlanType;
use datafusion_proto::protobuf::{PhysicalExtensionNode, PhysicalPlanNode};
use futures::{StreamExt, TryStreamExt};
use marginalia_store::Cluster;
use prost::Message;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tonic::transport::{Channel, Endpoint};

use super::state::{MESSAGE_BYTES, State};
use super::{Address, status, walls};
use crate::config::ClusterConfig;
use crate::error::ClusterError;

/// Largest plan, bytes: the scheduler takes messages of up to 16 MB.
const PLAN_BYTES: usize = 15 << 20;
/// Pauses between two looks at a job: short ones for short jobs.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Pause between two looks at whether anybody works.
const EXECUTORS_CHECK: Duration = Duration::from_secs(5);
/// How long no executor may be there, or the scheduler not know of the job: either may have been started anew.
const WITHOUT: Duration = Duration::from_secs(20);
/// How long the scheduler may take to answer.
const ANSWER: Duration = Duration::from_secs(60);
/// How long the process waits for jobs to be cancelled before it ends.
const SETTLING: Duration = Duration::from_secs(2);
/// Attempts to fetch a partition.
const FETCHES: u8 = 3;
/// Pause between two of them, milliseconds.
const FETCH_PAUSE: u64 = 500;

/// The jobs of this process: those that are submitted, that run, and that are cancelled.
static JOBS: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// A cluster that is somewhere else; cheap to clone.
#[derive(Clone)]
pub struct Client {
    scheduler: Address,
    state: State,
    from_rows: u64,
    deadline: Duration,
    /// What plans are read with, there as here.
    reader: Arc<TaskContext>,
    runtime: Handle,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("scheduler", &self.scheduler).finish()
    }
}

impl Client {
    /// The cluster of this scheduler; nothing is asked of it yet. Call it on the program's own runtime.
    pub fn new(scheduler: Address, state: State, config: &ClusterConfig) -> Result<Self, ClusterError> {
        let deadline = Duration::from_secs(config.deadline_seconds);
        let reader = state.engine("client")?.task_ctx();
        Ok(Self { scheduler, state, from_rows: config.from_rows, deadline, reader, runtime: Handle::current() })
    }

    /// The plan as bytes; none where it cannot travel.
    fn encoded(&self, plan: Arc<dyn ExecutionPlan>) -> Result<Option<Vec<u8>>> {
        if let Some(reason) = walls::stays(&plan)? {
            tracing::debug!(reason, "a plan runs here");
            return Ok(None);
        }
        let node = match PhysicalPlanNode::try_from_physical_plan(plan, &*self.state.codec) {
            Ok(node) => node,
            Err(error) => {
                tracing::debug!(%error, "a plan runs here: part of it does not travel");
                return Ok(None);
            }
        };
        let bytes = node.encode_to_vec();
        if bytes.len() > PLAN_BYTES {
            tracing::debug!(bytes = bytes.len(), "a plan runs here: it is too large to travel");
            return Ok(None);
        }
        if let Err(error) = self.read(node) {
            tracing::debug!(%error, "a plan runs here: nobody there could read it");
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// Reads a plan as whoever gets it will: functions are found by their names, and messages nest to a depth of a hundred,
    /// two for each node, where a task has its part of the plan below a node of the scheduler's.
    fn read(&self, plan: PhysicalPlanNode) -> Result<()> {
        plan.try_into_physical_plan(&self.reader, &*self.state.codec)?;
        let task = PhysicalExtensionNode { node: Vec::new(), inputs: vec![plan] };
        let task = PhysicalPlanNode { physical_plan_type: Some(PhysicalPlanType::Extension(task)) };
        match PhysicalPlanNode::decode(task.encode_to_vec().as_slice()) {
            Ok(_) => Ok(()),
            Err(error) => exec_err!("{error}"),
        }
    }

    async fn connect(&self) -> Result<SchedulerGrpcClient<Channel>> {
        let endpoint =
            Endpoint::from_shared(format!("http://{}", self.scheduler)).map_err(|error| self.gone(&error))?;
        let endpoint = (self.state.endpoints())(endpoint).map_err(|error| self.gone(&error))?;
        let channel = endpoint.connect().await.map_err(|error| self.gone(&error))?;
        Ok(SchedulerGrpcClient::new(channel)
            .max_encoding_message_size(MESSAGE_BYTES)
            .max_decoding_message_size(MESSAGE_BYTES))
    }

    /// Submits a plan and waits for the job's end: where its rows are.
    async fn finished(self, plan: Vec<u8>, config: SessionConfig) -> Result<Vec<PartitionLocation>> {
        // A task, so that a job which is given up before the scheduler has named it is cancelled too.
        let submitting = JOBS.spawn_on(self.clone().submitted(plan, config), &self.runtime);
        let mut job = submitting.await.map_err(|error| exec_datafusion_err!("a plan was not submitted: {error}"))??;
        self.wait(&mut job).await
    }

    async fn submitted(self, plan: Vec<u8>, config: SessionConfig) -> Result<Job> {
        let mut scheduler = self.connect().await?;
        let id = format!("{:032x}", rand::random::<u128>());
        let query = ExecuteQueryParams {
            query: Some(Query::PhysicalPlan(plan)),
            settings: config.to_key_value_pairs(),
            session_id: id.clone(),
            operation_id: id,
        };
        let submitted =
            scheduler.execute_query(timed(query)).await.map_err(|status| self.refused(&status))?.into_inner();
        match submitted.result {
            Some(Submitted::Success(job)) => Ok(Job {
                scheduler,
                job_id: job.job_id,
                runtime: self.runtime.clone(),
                is_running: true,
                _counted: JOBS.token(),
            }),
            Some(Submitted::Failure(refused)) => exec_err!("the cluster refused the plan: {}", reason(refused.failure)),
            None => exec_err!("the cluster's scheduler gave no answer to the plan"),
        }
    }

    async fn wait(&self, job: &mut Job) -> Result<Vec<PartitionLocation>> {
        let begun = Instant::now();
        let (mut looked, mut known, mut worked) = (begun, begun, begun);
        let mut pause = PAUSES.0;
        loop {
            match job.status(self).await? {
                Some(Status::Successful(done)) => {
                    job.is_running = false;
                    return Ok(done.partition_location);
                }
                Some(Status::Failed(failed)) => {
                    job.is_running = false;
                    return exec_err!("the cluster gave up job {}: {}", job.job_id, failed.error.trim());
                }
                Some(Status::Queued(_) | Status::Running(_)) => known = Instant::now(),
                None if known.elapsed() > WITHOUT => {
                    return exec_err!("the cluster's scheduler does not know of job {}; ask again", job.job_id);
                }
                None => {}
            }
            if begun.elapsed() > self.deadline {
                return exec_err!(
                    "job {} was given up after {} s, as cluster.deadline_seconds says",
                    job.job_id,
                    self.deadline.as_secs()
                );
            }
            if looked.elapsed() > EXECUTORS_CHECK {
                looked = Instant::now();
                match status::count_slots(&self.scheduler, self.state.tls.as_ref()).await {
                    Ok(0) if worked.elapsed() > WITHOUT => {
                        return exec_err!("no executor is left for job {}; start one and ask again", job.job_id);
                    }
                    Ok(0) => {}
                    Ok(_) | Err(_) => worked = Instant::now(),
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(PAUSES.1);
        }
    }

    /// The rows of one partition, from the executor that has them.
    async fn fetched(self, location: PartitionLocation) -> Result<SendableRecordBatchStream> {
        let (Some(executor), Some(partition)) = (location.executor_meta, location.partition_id) else {
            return exec_err!("the cluster's scheduler does not say where the rows are");
        };
        let failed = |error: BallistaError| {
            exec_datafusion_err!("fetching rows from {}: {}", executor.host, walls::words(error))
        };
        let endpoints = Some(Arc::new(BallistaConfigGrpcEndpoint::new(self.state.endpoints())));
        let port = executor.port as u16;
        let has_tls = self.state.tls.is_some();
        let connecting = BallistaClient::try_new(
            &executor.host,
            port,
            MESSAGE_BYTES,
            has_tls,
            endpoints,
            FETCHES,
            FETCH_PAUSE,
            0,
            0,
        );
        let mut from = connecting.await.map_err(failed)?;
        from.fetch_partition(&executor.id, &partition.into(), location.file_id, location.is_sort_shuffle, true)
            .await
            .map_err(failed)
    }

    fn gone(&self, error: &dyn std::fmt::Debug) -> DataFusionError {
        exec_datafusion_err!("the cluster's scheduler at {} does not answer: {error:?}", self.scheduler)
    }

    fn refused(&self, status: &tonic::Status) -> DataFusionError {
        match status.code() {
            tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled => self.gone(status),
            _ => exec_datafusion_err!("the cluster's scheduler at {}: {}", self.scheduler, status.message()),
        }
    }
}

#[async_trait]
impl Cluster for Client {
    fn settings(&self) -> SessionConfig {
        self.state.settings()
    }

    fn least_rows(&self) -> u64 {
        self.from_rows
    }

    async fn slots(&self) -> Result<usize> {
        match status::count_slots(&self.scheduler, self.state.tls.as_ref()).await {
            Ok(0) => exec_err!(
                "the cluster of {} has no executor; `marginalia cluster executor` starts one, and without --cluster \
                 queries run here",
                self.scheduler
            ),
            Ok(slots) => Ok(slots),
            Err(error) => Err(DataFusionError::Execution(error.to_string())),
        }
    }

    async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
    ) -> Result<Option<SendableRecordBatchStream>> {
        let schema = plan.schema();
        let Some(bytes) = self.encoded(plan)? else { return Ok(None) };
        let (client, config) = (self.clone(), config.clone());
        let rows = futures::stream::once(async move {
            let locations = client.clone().finished(bytes, config).await?;
            let partitions = futures::stream::iter(locations).then(move |location| client.clone().fetched(location));
            Ok::<_, DataFusionError>(partitions.try_flatten())
        });
        Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, rows.try_flatten()))))
    }
}

/// In the scheduler's words.
fn reason(failure: Option<Failure>) -> String {
    match failure {
        Some(
            Failure::PlanParsingFailure(words) | Failure::SessionNotFound(words) | Failure::SqlParsingFailure(words),
        ) => words,
        None => "it does not say why".to_owned(),
    }
}

/// A question that is given up when no answer comes.
fn timed<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(ANSWER);
    request
}

/// Waits until jobs that nobody wants any more are cancelled, for a moment at most.
pub async fn settle() {
    JOBS.close();
    if tokio::time::timeout(SETTLING, JOBS.wait()).await.is_err() {
        tracing::warn!("{} jobs may go on in the cluster", JOBS.len());
    }
}

/// A job that was submitted. Dropped before its end, it is cancelled.
struct Job {
    scheduler: SchedulerGrpcClient<Channel>,
    job_id: String,
    runtime: Handle,
    is_running: bool,
    _counted: TaskTrackerToken,
}

impl Job {
    async fn status(&mut self, client: &Client) -> Result<Option<Status>> {
        let asked = GetJobStatusParams { job_id: self.job_id.clone() };
        let status = self.scheduler.get_job_status(timed(asked)).await.map_err(|status| client.refused(&status))?;
        Ok(status.into_inner().status.and_then(|job| job.status))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.is_running {
            return;
        }
        let (mut scheduler, job_id) = (self.scheduler.clone(), std::mem::take(&mut self.job_id));
        let cancelled = async move {
            if let Err(status) = scheduler.cancel_job(timed(CancelJobParams { job_id })).await {
                tracing::warn!("a job could not be cancelled: {}", status.message());
            }
        };
        JOBS.spawn_on(cancelled, &self.runtime);
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Schema};
    use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::empty::EmptyExec;
    use datafusion::prelude::SessionContext;

    use super::*;

    fn client() -> Client {
        let config = ClusterConfig::default();
        let state = State::new(&config, Vec::new(), Vec::new()).expect("no certificates to read");
        Client::new("df://127.0.0.1:1".parse().expect("an address"), state, &config).expect("an engine")
    }

    fn nested(levels: usize) -> Arc<dyn ExecutionPlan> {
        let leaf: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(Arc::new(Schema::empty())));
        (0..levels).fold(leaf, |plan, _| -> Arc<dyn ExecutionPlan> { Arc::new(CoalescePartitionsExec::new(plan)) })
    }

    #[tokio::test]
    async fn a_plan_that_is_too_deep_to_be_read_stays() {
        assert!(client().encoded(nested(40)).expect("bytes").is_some());
        assert!(client().encoded(nested(60)).expect("no error").is_none());
    }

    #[tokio::test]
    async fn a_function_that_only_this_session_knows_stays() {
        let context = SessionContext::new();
        let (number, volatile) = (DataType::Int64, Volatility::Volatile);
        let function = Arc::new(|args: &[ColumnarValue]| Ok::<_, DataFusionError>(args[0].clone()));
        context.register_udf(create_udf("unheard_of", vec![number.clone()], number, volatile, function));
        for (function, travels) in [("abs", true), ("unheard_of", false)] {
            let sql = format!("select {function}(a) from (values (1), (2)) t(a)");
            let plan = context.sql(&sql).await.expect("a query").create_physical_plan().await.expect("a plan");
            assert_eq!(client().encoded(plan).expect("no error").is_some(), travels, "{function}");
        }
    }
}
