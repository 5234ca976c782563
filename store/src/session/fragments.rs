//! Some fragments of table `faces`, as a table of their own: what a long scan over all faces goes on with, part by
//! part.
//!
//! In: a snapshot and ids of fragments. Out: a provider for a session's own names ([`super::Session::open_with`]), read
//! through leaves that travel wherever its plan runs.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::logical_expr::TableProviderFilterPushDown;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::Expr;
use lance::Dataset;

use super::lance_scan::{LanceScan, TableRead, all_of};
use super::scan::Scan;
use crate::error::Result;
use crate::snapshot::Snapshot;
use crate::table::TableId;

impl Snapshot {
    /// The fragments of table `faces`, in order: their ids, with the rows in each.
    pub fn face_fragments(&self) -> Result<Vec<(u64, u64)>> {
        let fragments = self.open(TableId::Faces)?.fragments();
        let rows = fragments
            .iter()
            .map(|fragment| (fragment.id, fragment.num_rows().or(fragment.physical_rows).unwrap_or(0) as u64));
        Ok(rows.collect())
    }

    /// These fragments of table `faces`.
    pub fn faces_in(&self, fragments: Vec<u64>) -> Result<Arc<dyn TableProvider>> {
        let dataset = self.open(TableId::Faces)?.clone();
        let schema = Arc::new(Schema::from(dataset.schema()));
        Ok(Arc::new(FaceFragments { dataset, fragments, schema }))
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct FaceFragments {
    dataset: Arc<Dataset>,
    fragments: Vec<u64>,
    schema: SchemaRef,
}

impl FaceFragments {
    /// Rows in it.
    pub fn rows(&self) -> u64 {
        let own = self.dataset.fragments().iter().filter(|fragment| self.fragments.contains(&fragment.id));
        own.map(|fragment| fragment.num_rows().or(fragment.physical_rows).unwrap_or(0) as u64).sum()
    }
}

#[async_trait]
impl TableProvider for FaceFragments {
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
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let groups = Scan::of(state.config()).groups(state.config());
        let all = TableRead::of(&self.dataset, Some(&self.fragments), groups, &self.schema, projection)?;
        let read = TableRead { filter: all_of(filters), limit, ..all };
        Ok(Arc::new(LanceScan::of(self.dataset.clone(), read)))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> datafusion::error::Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Exact; filters.len()])
    }
}
