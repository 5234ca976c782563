//! Plans that other machines run.
//!
//! In: an optimised plan, and whoever has other machines ([`Cluster`]: the store knows no engine for them). Out: its
//! rows, or nothing, and then it runs here as every plan does. The same logical plan is made into a physical one twice
//! at most. The one for the cluster keeps to the cluster's settings, reads tables through leaves that travel
//! ([`super::lance_scan`]) and has the engine's rules alone: the nodes that ours put in (`FirstRowsExec`, Lance's own
//! reads and counts) are for this process.
//!
//! What never travels, and so makes the whole query run here: the view `queue` and table functions (rows that this
//! process computes as they are asked for), `information_schema`, `not in` over nullable columns, tables of an older
//! schema version (their reads are Lance's own until the first row is written). What is not worth it: plans that read few rows, and those that look for
//! faces by their ids, which the index answers. Functions travel as their names; [`engine_state`] is where every
//! machine gets them from, with the walls around those whose output may grow ([`super::growth`]). The pool that divides
//! the memory among queries ([`super::memory`]) stays here; executors have their own.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::{SessionState, SessionStateBuilder, SessionStateDefaults};
use datafusion::logical_expr::{AggregateUDF, LogicalPlan, ScalarUDF};
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use datafusion::prelude::SessionConfig;
use lance::Dataset;
use lance::datafusion::LanceTableProvider;

use super::fragments::FaceFragments;
use super::lance_scan::{LanceScan, is_lookup};
use super::runtime::no_stores;
use super::scan::Scan;
use super::tables::{Named, Tables};
use super::{functions, growth, settings};

/// Groups of fragments per task that runs at a time: some are done sooner than others.
const GROUPS_PER_SLOT: usize = 3;

/// Other machines that run plans.
#[async_trait]
pub trait Cluster: fmt::Debug + Send + Sync {
    /// What its plans have to keep to.
    fn settings(&self) -> SessionConfig;

    /// Rows that a plan must read to be worth the way.
    fn least_rows(&self) -> u64;

    /// Tasks that all of it runs at a time.
    async fn slots(&self) -> Result<usize>;

    /// The rows of a plan; none where it cannot run there. Dropped, they are given up there too.
    async fn run(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &SessionConfig,
    ) -> Result<Option<SendableRecordBatchStream>>;
}

/// What the program adds to a runtime.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// Functions of its own, in every session.
    pub functions: Vec<Arc<ScalarUDF>>,
    /// What each thread does first.
    pub thread_start: Option<fn()>,
    /// Other machines.
    pub cluster: Option<Arc<dyn Cluster>>,
}

/// Scalar and aggregate functions as sessions have them, the program's own among them.
pub(super) fn all_functions(extras: &[Arc<ScalarUDF>]) -> (Vec<Arc<ScalarUDF>>, Vec<Arc<AggregateUDF>>) {
    let scalar = growth::scalar_functions().into_iter().chain(functions::scalar_functions());
    let aggregate = growth::aggregate_functions().into_iter().chain(functions::aggregate_functions());
    (scalar.chain(extras.iter().cloned()).collect(), aggregate.collect())
}

/// What a machine needs to make plans out of what came over the wire and to run them: every function that a plan of
/// ours may name, and nothing to reach files or stores by.
pub fn engine_state(config: SessionConfig, extras: &[Arc<ScalarUDF>]) -> Result<SessionState> {
    let (mut scalar, aggregate) = all_functions(extras);
    // Nobody calls it by its name; it stands in plans that join texts or lists.
    scalar.push(growth::within_bounds_function());
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(engine_runtime(RuntimeEnvBuilder::new())?)
        .with_scalar_functions(scalar)
        .with_aggregate_functions(aggregate)
        .with_window_functions(SessionStateDefaults::default_window_functions());
    Ok(state.build())
}

/// An engine that knows no file and no store.
pub fn engine_runtime(builder: RuntimeEnvBuilder) -> Result<Arc<RuntimeEnv>> {
    builder.with_object_store_registry(no_stores()?).build_arc()
}

/// The rows of a plan from the cluster; none where it is to run here. Whether it reads enough is known without asking:
/// what pages ask for must not wait for other machines.
pub(super) async fn stream(
    cluster: &dyn Cluster,
    local: &SessionState,
    plan: &LogicalPlan,
    from_rows: u64,
) -> Result<Option<SendableRecordBatchStream>> {
    if rows_read(plan, local)?.is_none_or(|rows| rows < from_rows) {
        return Ok(None);
    }
    // `not in` over nullable columns: the joins that plans for a cluster are made of do not know of it any more, and would
    // answer wrongly.
    if plan.exists(|node| Ok(matches!(node, LogicalPlan::Join(join) if join.null_aware)))? {
        return Ok(None);
    }
    let state = spread(cluster, local, cluster.slots().await?.max(1));
    let physical = state.query_planner().create_physical_plan(plan, &state).await?;
    // Some plans are answered by what is known of the tables.
    match physical.exists(|node| Ok(node.downcast_ref::<LanceScan>().is_some()))? {
        true => cluster.run(physical, state.config()).await,
        false => Ok(None),
    }
}

/// The same session for a cluster of so many slots.
fn spread(cluster: &dyn Cluster, local: &SessionState, slots: usize) -> SessionState {
    let reserved = local.config().options().execution.sort_spill_reservation_bytes;
    let mut config = settings(cluster.settings(), reserved)
        .with_target_partitions(slots)
        // The catalogs are the session's own: a new default one would take the place of its tables.
        .with_create_default_catalog_and_schema(false)
        .with_extension(Arc::new(Scan::Groups(GROUPS_PER_SLOT)));
    if let Some(tables) = local.config().get_extension::<Tables>() {
        config.set_extension(tables);
    }
    SessionStateBuilder::new_from_existing(local.clone())
        .with_config(config)
        .with_physical_optimizer_rules(PhysicalOptimizer::new().rules)
        .build()
}

/// Rows of tables that a plan reads, look-ups not counted; none where it reads no table.
fn rows_read(plan: &LogicalPlan, state: &SessionState) -> Result<Option<u64>> {
    let Some(tables) = state.config().get_extension::<Tables>() else { return Ok(None) };
    let mut sum = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let table = source_as_provider(&scan.source)?;
            let named = table.downcast_ref::<Named>().and_then(|named| tables.get(&named.name));
            let lance = named.and_then(|table| table.downcast_ref::<LanceTableProvider>());
            let some = table.downcast_ref::<FaceFragments>();
            let rows = lance.map(|lance| rows_of(&lance.dataset())).or_else(|| some.map(FaceFragments::rows));
            let rows = rows.map(|rows| if is_lookup(&scan.filters) { 0 } else { rows });
            sum = rows.map(|rows| rows.saturating_add(sum.unwrap_or(0))).or(sum);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(sum)
}

fn rows_of(table: &Dataset) -> u64 {
    let fragments = table.fragments().iter();
    fragments.map(|fragment| fragment.num_rows().or(fragment.physical_rows).unwrap_or(0) as u64).sum()
}
