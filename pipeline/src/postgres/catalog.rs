//! What clients look into before they ask anything: `pg_catalog`, and functions that PostgreSQL has.
//!
//! In: a session's engine. Out: the same with the catalog. Object numbers must not change while a client goes from one
//! query of its introspection to the next, and the tables and views are the same in every state of a corpus: so the catalog
//! that is made for the first session serves all. It is made over the columns alone, and holds no state of the corpus.

use std::sync::{Arc, OnceLock};

use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
    SchemaProvider, TableProvider,
};
use datafusion::common::{ToDFSchema, plan_datafusion_err};
use datafusion::datasource::{MemTable, TableType, ViewTable};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, EmptyRelation, LogicalPlan, Volatility, create_udf};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_postgres::datafusion_pg_catalog::pg_catalog::{PgCatalogSchemaProvider, PgCatalogStaticTables};
use datafusion_postgres::datafusion_pg_catalog::setup_pg_catalog;
use futures::FutureExt;

/// Name of the one database.
pub const DATABASE: &str = "marginalia";
const SCHEMA: &str = "pg_catalog";
const TABLES: &str = "public";

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
        let database = context.catalog(DATABASE).ok_or_else(missing)?;
        let catalog = match self.first.get() {
            Some(catalog) => catalog.clone(),
            None => {
                let made = over(database.schema(TABLES).ok_or_else(missing)?.as_ref())?;
                self.first.get_or_init(|| made).clone()
            }
        };
        database.register_schema(SCHEMA, catalog)?;
        // Drivers look for types of extensions, of which there are none.
        let no_type = |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Int32(None)));
        let texts = vec![DataType::Utf8];
        context.register_udf(create_udf(
            "to_regtype",
            texts,
            DataType::Int32,
            Volatility::Immutable,
            Arc::new(no_type),
        ));
        let version = ScalarValue::Utf8(Some(format!("PostgreSQL {}", server_version())));
        let version = move |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(version.clone()));
        context.register_udf(create_udf("version", vec![], DataType::Utf8, Volatility::Immutable, Arc::new(version)));
        Ok(())
    }
}

/// A catalog over tables and views with the columns of these and no rows.
fn over(tables: &dyn SchemaProvider) -> Result<Arc<dyn SchemaProvider>> {
    let shadows = MemorySchemaProvider::new();
    for name in tables.table_names() {
        // They are in memory already.
        let Some(table) = tables.table(&name).now_or_never().transpose()?.flatten() else { continue };
        let schema = Arc::new(told(&table.schema()));
        let shadow: Arc<dyn TableProvider> = match table.table_type() {
            TableType::View => {
                let schema = Arc::new(schema.to_dfschema()?);
                let nothing = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
                Arc::new(ViewTable::new(nothing, None))
            }
            _ => Arc::new(MemTable::try_new(schema, vec![vec![]])?),
        };
        shadows.register_table(name, shadow)?;
    }
    let database = Arc::new(MemoryCatalogProvider::new());
    database.register_schema(TABLES, Arc::new(shadows))?;
    let databases = MemoryCatalogProviderList::new();
    databases.register_catalog(DATABASE.to_owned(), database.clone());
    let databases: Arc<dyn CatalogProviderList> = Arc::new(databases);
    let fixed = Arc::new(PgCatalogStaticTables::try_new()?);
    let catalog = Arc::new(PgCatalogSchemaProvider::try_new(databases, fixed, EmptyContextProvider)?);
    database.register_schema(SCHEMA, catalog.clone())?;
    Ok(catalog)
}

/// Columns as the catalog can tell of them: it takes a time with a zone for text.
fn told(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Timestamp(unit, Some(_)) => field.as_ref().clone().with_data_type(DataType::Timestamp(*unit, None)),
        _ => field.as_ref().clone(),
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn missing() -> DataFusionError {
    plan_datafusion_err!("the engine has no schemas of the name {DATABASE}")
}
