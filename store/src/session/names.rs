//! The names of a session: tables are there at once, a view is planned when somebody asks for it.
//!
//! In: the ground of a snapshot. Out: two catalogs. The inner one has every table and every view, and is what views and table
//! functions are planned over; the outer one, which texts see, has all names but those of tables that hold half-written rounds.
//! A session is opened whenever a table has changed, and most questions name one view or two: planning all of them first would
//! take longer than answering. The inner one knows no table's content, so sessions share it, with all that was planned over
//! it, until a round or a setting changes what the views mean.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
    TableProvider,
};
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use tokio::sync::OnceCell;

use super::plans::Plans;
use super::{CATALOG, SCHEMA, functions};
use crate::error::Error;
use crate::guard;
use crate::snapshot::Snapshot;
use crate::views::{self, Ground, VIEWS, View};

/// Grounds remembered: the newest state, and a few moments that people look back at.
const KEPT: usize = 8;

/// The names of each ground that was asked for lately, newest first.
#[derive(Default)]
pub(super) struct Shelf(Mutex<VecDeque<Arc<Names>>>);

impl Shelf {
    /// The names over a ground; `context` has the engine that plans, and no tables.
    pub fn names(&self, context: &SessionContext, ground: Ground) -> Result<Arc<Names>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let names = match kept.iter().position(|names| names.all.ground == ground).and_then(|place| kept.remove(place))
        {
            Some(known) => known,
            None => Arc::new(Names::new(context, ground)?),
        };
        kept.push_front(names.clone());
        kept.truncate(KEPT);
        Ok(names)
    }
}

/// All names over one ground, and what was planned over them.
pub(super) struct Names {
    all: Arc<All>,
    planner: Planner,
    pub plans: Plans,
}

impl Names {
    fn new(context: &SessionContext, ground: Ground) -> Result<Self> {
        let slots = VIEWS.iter().map(|view| (view.name, Slot { view, table: OnceCell::new() })).collect();
        let all = Arc::new(All { ground, views: slots, state: OnceLock::new() });
        let planner = Planner::new(context, all.clone())?;
        Ok(Self { all, planner, plans: Plans::default() })
    }

    /// Gives `context` the names, and the table functions of `snapshot`.
    pub fn register(self: &Arc<Self>, context: &SessionContext, snapshot: &Snapshot) -> crate::error::Result<()> {
        let shown = Shown { names: self.clone(), more: MemorySchemaProvider::new() };
        let missing = || Error::Internal { what: format!("the session has no catalog {CATALOG}") };
        let catalog = context.catalog(CATALOG).ok_or_else(missing)?;
        catalog.register_schema(SCHEMA, Arc::new(shown)).map_err(guard::failed)?;
        functions::register_tables(context, snapshot, &self.planner, &self.all.ground.parameters);
        Ok(())
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all.fmt(f)
    }
}

/// Plans texts of the program's own over every name, those included that no text of people's may use.
#[derive(Clone)]
pub(super) struct Planner(SessionContext);

impl Planner {
    fn new(context: &SessionContext, all: Arc<All>) -> Result<Self> {
        let catalogs = Arc::new(MemoryCatalogProviderList::new());
        let state = SessionStateBuilder::new_from_existing(context.state()).with_catalog_list(catalogs).build();
        let planner = SessionContext::new_with_state(state);
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, all.clone())?;
        planner.register_catalog(CATALOG, Arc::new(catalog));
        // Weak, because the state holds the names in turn.
        let state = planner.state_weak_ref();
        let _ = all.state.set(Box::new(move || Some(state.upgrade()?.read().clone())));
        Ok(Self(planner))
    }

    /// The plan of a text. Views come from memory: nothing is waited for but their planning.
    pub fn plan(&self, sql: &str) -> Result<LogicalPlan> {
        futures::executor::block_on(self.0.state().create_logical_plan(sql))
    }
}

impl fmt::Debug for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Planner")
    }
}

#[derive(Debug)]
struct Slot {
    view: &'static View,
    table: OnceCell<Arc<dyn TableProvider>>,
}

/// Every name.
struct All {
    ground: Ground,
    views: HashMap<&'static str, Slot>,
    /// The planner's, as long as there is one.
    state: OnceLock<Box<dyn Fn() -> Option<SessionState> + Send + Sync>>,
}

impl All {
    fn is_hidden(&self, name: &str) -> bool {
        self.ground.hidden.contains(name)
    }

    async fn plan(&self, view: &View) -> Result<Arc<dyn TableProvider>> {
        let state = self.state.get().and_then(|state| state());
        let state = state.ok_or_else(|| internal_datafusion_err!("the session has ended"))?;
        views::plan(view, &state, &self.ground).await
    }
}

impl fmt::Debug for All {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.table_names()).finish()
    }
}

#[async_trait]
impl SchemaProvider for All {
    fn table_names(&self) -> Vec<String> {
        self.ground.tables.keys().cloned().chain(self.views.keys().map(|name| (*name).to_owned())).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = self.ground.tables.get(name) {
            return Ok(Some(table.clone()));
        }
        let Some(slot) = self.views.get(name) else { return Ok(None) };
        Ok(Some(slot.table.get_or_try_init(|| self.plan(slot.view)).await?.clone()))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.ground.tables.contains_key(name) || self.views.contains_key(name)
    }
}

/// The names that texts see.
#[derive(Debug)]
struct Shown {
    names: Arc<Names>,
    /// Names that the program adds.
    more: MemorySchemaProvider,
}

#[async_trait]
impl SchemaProvider for Shown {
    fn table_names(&self) -> Vec<String> {
        let own = self.names.all.table_names().into_iter().filter(|name| !self.names.all.is_hidden(name));
        own.chain(self.more.table_names()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.more.table(name).await? {
            None if !self.names.all.is_hidden(name) => self.names.all.table(name).await,
            more => Ok(more),
        }
    }

    fn register_table(&self, name: String, table: Arc<dyn TableProvider>) -> Result<Option<Arc<dyn TableProvider>>> {
        self.more.register_table(name, table)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.more.table_exist(name) || (!self.names.all.is_hidden(name) && self.names.all.table_exist(name))
    }
}
