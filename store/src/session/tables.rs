//! The tables behind the names in a plan.
//!
//! In: what a snapshot has under each name. Out: providers that know a name and its columns and nothing else, for plans to be
//! made over. What a name stands for is looked up in the session that runs the plan. So a plan stays right while the tables
//! get new versions: views are planned once a round, not once a commit.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{internal_err, plan_datafusion_err};
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::logical_expr::TableProviderFilterPushDown;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::Expr;
use lance::datafusion::LanceTableProvider;

use super::lance_scan::{LanceScan, TableRead, all_of, is_lookup};
use super::scan::{Scan, ScanExec};

/// What the names of one session stand for.
#[derive(Clone, Default)]
pub(crate) struct Tables(HashMap<String, Arc<dyn TableProvider>>);

impl Tables {
    /// From now on `name` stands for `table`.
    pub fn insert(&mut self, name: impl Into<String>, table: Arc<dyn TableProvider>) {
        self.0.insert(name.into(), table);
    }

    /// What `name` stands for.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn TableProvider>> {
        self.0.get(name)
    }

    /// The names, for plans.
    pub fn names(&self) -> impl Iterator<Item = Named> {
        self.0.iter().map(|(name, table)| Named { name: name.clone(), schema: table.schema() })
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A name with its columns. Equal names stand for the same table in any one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub name: String,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Named {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let tables = state.config().get_extension::<Tables>();
        let table = tables.as_ref().and_then(|tables| tables.get(&self.name));
        let table = table.ok_or_else(|| plan_datafusion_err!("this session has no table {}", self.name))?;
        if table.schema() != self.schema {
            return internal_err!("the table {} has other columns than the plan", self.name);
        }
        let config = state.config();
        let scan = Scan::of(config);
        if let (Scan::Groups(_), Some(lance)) = (scan, table.downcast_ref::<LanceTableProvider>()) {
            let groups = if is_lookup(filters) { 1 } else { scan.groups(config) };
            let all = TableRead::of(&lance.dataset(), None, groups, &self.schema, projection)?;
            let read = TableRead { filter: all_of(filters), limit, ..all };
            return Ok(Arc::new(LanceScan::of(lance.dataset(), read)));
        }
        let read = table.scan(state, projection, filters, limit).await?;
        match scan {
            Scan::Shared => Ok(Arc::new(ScanExec::try_new(read, config.target_partitions())?)),
            // As it is: so rows in memory travel, in a leaf of ours they would not.
            Scan::Provider | Scan::Groups(_) => Ok(read),
        }
    }

    /// Every table here applies all filters, or has no rows.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }
}
