//! Which state of the corpus a statement sees: the newest, opened once for all who ask for it.

use datafusion::prelude::SessionContext;
use datafusion_postgres::pgwire::error::PgWireResult;
use marginalia_store::{Corpus, Session, SqlLimits, SqlRuntime};
use tokio::sync::Mutex;

use super::catalog::Catalog;
use super::failure::of_store;

/// Sessions over one corpus.
pub struct Sessions {
    corpus: Corpus,
    runtime: SqlRuntime,
    limits: SqlLimits,
    catalog: Catalog,
    newest: Mutex<Option<Session>>,
}

impl Sessions {
    pub fn new(corpus: Corpus, runtime: SqlRuntime, limits: SqlLimits) -> Self {
        Self { corpus, runtime, limits, catalog: Catalog::default(), newest: Mutex::new(None) }
    }

    /// Where SQL runs.
    pub fn runtime(&self) -> &SqlRuntime {
        &self.runtime
    }

    /// What it may use.
    pub fn limits(&self) -> &SqlLimits {
        &self.limits
    }

    /// A session over everything committed so far.
    pub async fn newest(&self) -> PgWireResult<Session> {
        let mut newest = self.newest.lock().await;
        let snapshot = self.corpus.snapshot().await.map_err(of_store)?;
        if let Some(session) = &*newest
            && session.snapshot().versions() == snapshot.versions()
        {
            return Ok(session.clone());
        }
        let catalog = self.catalog.clone();
        let extend = move |context: &SessionContext| catalog.extend(context);
        let opened = Session::open_with(&self.runtime, snapshot, self.limits.clone(), extend).await;
        let session = opened.map_err(of_store)?;
        *newest = Some(session.clone());
        Ok(session)
    }
}
