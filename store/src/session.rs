//! A SQL session: one snapshot, the views built on it, read-only behind several walls.
//!
//! In: a snapshot and SQL text. Out: a stream of Arrow batches. Every text passes the same walls (`guard`: size, shape,
//! only questions; then the plan is verified again); below them there is nothing to write to or to read files with: no
//! object store, no file format, no table factory. People's texts also have a deadline and a row limit. Planning and
//! execution stay on the threads of [`SqlRuntime`].

mod answer;
mod cluster;
mod cooperative;
mod first_rows;
mod fragments;
pub(crate) mod functions;
mod growth;
mod lance_scan;
mod memory;
mod names;
mod opened;
pub(crate) mod patterns;
mod plans;
mod prepared;
mod pseudonyms;
pub(crate) mod queue;
mod runtime;
mod scan;
pub(crate) mod tables;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use lance::io::exec::count_pushdown::CountPushdown;

use crate::error::{Error, Result};
use crate::guard;
use crate::snapshot::Snapshot;
use crate::views::{self, Ground};

pub use answer::{Answer, Pace};
use answer::{Deadline, Work};
pub use cluster::{Cluster, Extras, engine_runtime, engine_state};
use cooperative::CooperativeJoins;
pub use cooperative::cooperative_joins;
use first_rows::FirstRows;
pub use functions::{FUNCTIONS, Function, FunctionKind};
pub use lance_scan::{FragmentGroup, LanceScan, TableRead};
use names::Names;
pub use opened::TableCaches;
use plans::{Key, is_lasting};
pub use prepared::Prepared;
pub use pseudonyms::Pseudonyms;
use runtime::{Environment, Origin, Running};
pub use runtime::{Held, SqlRuntime};
use scan::BareScans;
pub use scan::Scan;

/// Where the names stand.
const CATALOG: &str = "marginalia";
const SCHEMA: &str = "public";
/// Partitions a plan is split into. Tables come as one stream each, and the machine has other work.
const PARTITIONS: usize = 2;
/// Rows of a batch. Fewer than the engine's default: a row may hold an image of 100 kB.
const BATCH_ROWS: usize = 2048;

/// What a session's queries may use.
#[derive(Clone, Debug)]
pub struct SqlLimits {
    /// Memory of all queries of sessions with these limits together, bytes.
    pub memory_bytes: usize,
    /// Time for one query, planning and reading its answer included.
    pub timeout: Duration,
    /// Length of a text, bytes.
    pub max_text_bytes: usize,
    /// Operators in a text; plans recurse over chains of them.
    pub max_operators: usize,
    /// Items in one list of a text.
    pub max_list_items: usize,
    /// Rows of an answer; the rest is left out and [`Answer::is_truncated`] says so.
    pub max_rows: Option<usize>,
    /// Where sorts and aggregates spill; none: the system's temporary folder.
    pub temp_dir: Option<PathBuf>,
    /// Spill space, bytes.
    pub max_temp_bytes: u64,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 512 << 20,
            timeout: Duration::from_secs(30),
            max_text_bytes: 64 << 10,
            max_operators: 500,
            max_list_items: 4000,
            max_rows: None,
            temp_dir: None,
            max_temp_bytes: 4 << 30,
        }
    }
}

/// One snapshot open for questions; cheap to clone.
#[derive(Clone)]
pub struct Session {
    runtime: SqlRuntime,
    environment: Environment,
    context: SessionContext,
    limits: SqlLimits,
    snapshot: Arc<Snapshot>,
    names: Arc<Names>,
}

impl Session {
    /// Opens the tables of `snapshot`, with the views on them.
    pub async fn open(runtime: &SqlRuntime, snapshot: Arc<Snapshot>, limits: SqlLimits) -> Result<Self> {
        Self::open_with(runtime, snapshot, limits, |_| Ok(())).await
    }

    /// The same with names of the program's own: once the views are there, `extend` may register more. It gets what no text
    /// gets: an engine without walls.
    pub async fn open_with<F>(
        runtime: &SqlRuntime,
        snapshot: Arc<Snapshot>,
        limits: SqlLimits,
        extend: F,
    ) -> Result<Self>
    where
        F: FnOnce(&SessionContext) -> datafusion::error::Result<()> + Send + 'static,
    {
        let environment = runtime.environment(&limits)?;
        let context = SessionContext::new_with_state(state(environment.engine.clone(), &limits, runtime.extras()));
        let tables = views::tables(&snapshot)?;
        let names = runtime.shelf().names(&context, Ground::of(&snapshot, &tables)).map_err(guard::failed)?;
        context.state_ref().write().config_mut().set_extension(Arc::new(tables));
        let session = Self { runtime: runtime.clone(), environment, context, limits, snapshot, names };
        let building = session.clone();
        answer::run(session.runtime.handle(Origin::Program), "naming tables and views", async move {
            building.names.register(&building.context, &building.snapshot)?;
            extend(&building.context).map_err(guard::failed)
        })
        .await?;
        Ok(session)
    }

    /// The same session with tables read in this way, for measurements.
    pub fn reading(&self, scan: Scan) -> Self {
        let mut state = self.context.state();
        state.config_mut().set_extension(Arc::new(scan));
        Self { context: SessionContext::new_with_state(state), ..self.clone() }
    }

    /// What the session looks at.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// Answers a text from anybody: all walls, and the deadline. Needs tokio's timer where it is called.
    ///
    /// # Errors
    /// `QueryRefused`, `QueryFailed`, `QueryTooLarge` and `QueryTimeout`, from here or, once rows flow, from the answer.
    pub async fn query(&self, sql: &str) -> Result<Answer> {
        let deadline = Deadline::new(Pace::within(self.limits.timeout), self.runtime.track());
        let work = Work { sql: sql.to_owned(), max_rows: self.limits.max_rows, deadline: Some(deadline.clone()) };
        let session = self.clone();
        let sql = sql.to_owned();
        let plan = async move { session.execute(&sql, Vec::new(), deadline.running).await };
        Answer::start(&self.runtime, Origin::People, work, plan).await
    }

    /// Answers a text of the program's own or of the curriculum: the same walls, but no deadline and no row limit. Named
    /// parameters (`$seed`) take the given values.
    pub async fn query_trusted(&self, sql: &str, parameters: Vec<(&str, ScalarValue)>) -> Result<Answer> {
        let work = Work { sql: sql.to_owned(), max_rows: None, deadline: None };
        let session = self.clone();
        let (sql, parameters, running) = (sql.to_owned(), owned(parameters), self.runtime.track());
        let plan = async move { session.execute(&sql, parameters, running).await };
        Answer::start(&self.runtime, Origin::Program, work, plan).await
    }

    /// Whether there are other machines to run plans.
    pub fn has_cluster(&self) -> bool {
        self.runtime.extras().cluster.is_some()
    }

    /// Answers a text of the program's own on the cluster, however little it reads.
    ///
    /// # Errors
    /// `QueryRefused` where there is none or it does not take such a plan.
    pub async fn query_elsewhere(&self, sql: &str) -> Result<Answer> {
        let work = Work { sql: sql.to_owned(), max_rows: None, deadline: None };
        let (session, sql) = (self.clone(), sql.to_owned());
        let rows = async move {
            let refused = |reason: &str| Error::QueryRefused { reason: reason.to_owned() };
            let state = session.context.state();
            let plan = session.optimised(&state, session.plan(&state, &sql).await?, &sql, None)?;
            let cluster = &session.runtime.extras().cluster;
            let cluster = cluster.as_ref().ok_or_else(|| refused("there is no cluster to run it; name one"))?;
            let rows = cluster::stream(cluster.as_ref(), &state, &plan, 0).await.map_err(guard::failed)?;
            rows.ok_or_else(|| refused("the cluster does not take such a query"))
        };
        Answer::start(&self.runtime, Origin::Program, work, rows).await
    }

    /// Columns that a text would answer with; plans it and runs nothing. Parameters need no value.
    pub async fn schema_of(&self, sql: &str) -> Result<SchemaRef> {
        let session = self.clone();
        let text = sql.to_owned();
        answer::run(self.runtime.handle(Origin::Program), sql, async move {
            let state = session.context.state();
            let mut plan = session.plan(&state, &text).await?;
            if plan.get_parameter_names().map_err(guard::failed)?.is_empty() {
                // Wrong types show only here.
                plan = state.optimize(&plan).map_err(guard::failed)?;
            }
            Ok(plan.schema().inner().clone())
        })
        .await
    }

    async fn plan(&self, state: &SessionState, sql: &str) -> Result<LogicalPlan> {
        let statement = guard::statement(sql, &self.limits)?;
        let plan = state.statement_to_plan(statement).await.map_err(|error| guard::failed_in(sql, error))?;
        guard::plan(&plan)?;
        Ok(plan)
    }

    async fn execute(
        &self,
        sql: &str,
        parameters: Vec<(String, ScalarValue)>,
        running: Arc<Running>,
    ) -> Result<SendableRecordBatchStream> {
        let state = self.context.state();
        if !parameters.is_empty() {
            let plan = self.plan(&state, sql).await?.with_param_values(parameters).map_err(guard::failed)?;
            return self.stream(&state, self.optimised(&state, plan, sql, None)?, running).await;
        }
        let plan = self.remembered(&state, sql, self.plan(&state, sql)).await?;
        self.stream(&state, plan, running).await
    }

    /// The optimised plan of a text; made from `plan` where nobody asked for it lately.
    async fn remembered(
        &self,
        state: &SessionState,
        text: &str,
        plan: impl Future<Output = Result<LogicalPlan>>,
    ) -> Result<LogicalPlan> {
        let key = Key::Text(text.to_owned());
        match self.names.plans.of(&key) {
            Some(known) => Ok(known),
            None => self.optimised(state, plan.await?, text, Some(key)),
        }
    }

    /// The last walls, then the optimiser. The result is remembered as `key`, or, where the text looks for one face, as its
    /// pattern.
    fn optimised(&self, state: &SessionState, plan: LogicalPlan, text: &str, key: Option<Key>) -> Result<LogicalPlan> {
        guard::complete(&plan)?;
        if !is_lasting(&plan).map_err(guard::failed)? {
            return state.optimize(&plan).map_err(guard::failed);
        }
        let (pattern, face) = patterns::split(plan, guard::strings(text)).map_err(guard::failed)?;
        let key = if face.is_some() { Some(Key::Pattern(Box::new(pattern.clone()))) } else { key };
        let optimised = match key.as_ref().and_then(|key| self.names.plans.of(key)) {
            Some(known) => known,
            None => {
                let optimised = state.optimize(&pattern).map_err(guard::failed)?;
                if let Some(key) = key {
                    self.names.plans.keep(key, optimised.clone());
                }
                optimised
            }
        };
        match face {
            Some(face) => patterns::fill(optimised, &face).map_err(guard::failed),
            None => Ok(optimised),
        }
    }

    /// The rows of an optimised plan, from the cluster where there is one and the plan is for it.
    async fn stream(
        &self,
        state: &SessionState,
        plan: LogicalPlan,
        running: Arc<Running>,
    ) -> Result<SendableRecordBatchStream> {
        if let Some(cluster) = &self.runtime.extras().cluster
            && let Some(rows) =
                cluster::stream(cluster.as_ref(), state, &plan, cluster.least_rows()).await.map_err(guard::failed)?
        {
            return Ok(rows);
        }
        let physical = state.query_planner().create_physical_plan(&plan, state).await.map_err(guard::failed)?;
        let task = TaskContext::from(state).with_runtime(self.environment.tracked(running));
        execute_stream(physical, Arc::new(task)).map_err(guard::failed)
    }
}

fn owned(parameters: Vec<(&str, ScalarValue)>) -> Vec<(String, ScalarValue)> {
    parameters.into_iter().map(|(name, value)| (name.trim_start_matches('$').to_owned(), value)).collect()
}

/// An engine with functions, and nothing else to reach the world by.
fn state(engine: Arc<RuntimeEnv>, limits: &SqlLimits, extras: &Extras) -> SessionState {
    // A sort keeps this much free for its merge; in a small pool the default would not fit.
    let mut config = settings(SessionConfig::new(), limits.memory_bytes / 128).with_target_partitions(PARTITIONS);
    if extras.cluster.is_some() {
        // One logical plan serves here and there, and there no results can be shared inside a process.
        config.options_mut().optimizer.enable_physical_uncorrelated_scalar_subquery = false;
    }
    let (scalar, aggregate) = cluster::all_functions(&extras.functions);
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(engine)
        .with_scalar_functions(scalar)
        .with_aggregate_functions(aggregate)
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_table_function_list(SessionStateDefaults::default_table_functions())
        .with_expr_planners(growth::expr_planners())
        .with_physical_optimizer_rules(physical_rules())
        .build()
}

/// What all sessions set, wherever their plans run.
fn settings(config: SessionConfig, sort_spill_reservation_bytes: usize) -> SessionConfig {
    let mut config = config
        .with_information_schema(true)
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_batch_size(BATCH_ROWS);
    let options = config.options_mut();
    options.execution.enable_recursive_ctes = false;
    options.execution.sort_spill_reservation_bytes = sort_spill_reservation_bytes;
    options.sql_parser.map_string_types_to_utf8view = false;
    // So that a message can name the line.
    options.sql_parser.collect_spans = true;
    config
}

/// The engine's own rules and ours: what changes how much is read comes first, what wraps the finished plan last.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(FirstRows)];
    rules.extend(PhysicalOptimizer::new().rules);
    rules.push(Arc::new(BareScans));
    rules.push(Arc::new(CountPushdown));
    rules.push(Arc::new(CooperativeJoins));
    rules
}
