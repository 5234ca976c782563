//! What clients look into before they ask anything: `pg_catalog`, and functions that PostgreSQL has.
//!
//! In: a session's engine. Out: the same with the catalog. Object numbers must not change while a client goes from one
//! query of its introspection to the next, and the tables and views are the same in every state of a corpus: so the catalog
//! of the first session serves all.

use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::DataType;
use datafusion::catalog::SchemaProvider;
use datafusion::common::plan_datafusion_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::setup_pg_catalog;

/// Name of the one database.
pub const DATABASE: &str = "marginalia";
const SCHEMA: &str = "pg_catalog";

/// The version that drivers read; they choose their queries by it.
pub fn server_version() -> String {
    format!("16.6 (Marginalia {})", env!("CARGO_PKG_VERSION"))
}

/// The catalog of all sessions.
#[derive(Clone, Default)]
pub struct Catalog {
    first: Arc<OnceLock<Arc<dyn SchemaProvider>>>,
}

impl Catalog {
    /// Gives a session's engine the catalog.
    pub fn extend(&self, context: &SessionContext) -> Result<()> {
        setup_pg_catalog(context, DATABASE, EmptyContextProvider).map_err(|error| *error)?;
        let missing = || plan_datafusion_err!("the engine has no schema {DATABASE}.{SCHEMA}");
        let database = context.catalog(DATABASE).ok_or_else(missing)?;
        let own = database.schema(SCHEMA).ok_or_else(missing)?;
        database.register_schema(SCHEMA, self.first.get_or_init(|| own).clone())?;
        let version = ScalarValue::Utf8(Some(format!("PostgreSQL {}", server_version())));
        let version = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(version.clone()));
        context.register_udf(create_udf("version", vec![], DataType::Utf8, Volatility::Immutable, Arc::new(version)));
        Ok(())
    }
}
