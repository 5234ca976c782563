//! The corpus as it stands now, open for SQL.
//!
//! In: questions, many a second. Out: a session over the newest versions; as long as no table has changed it is the one
//! that was opened before, so that views are not planned anew for every page.

use std::sync::Arc;

use marginalia_store::{Corpus, Moment, Session, SqlLimits, SqlRuntime};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::error::Result;

/// Opens sessions; cheap to clone.
#[derive(Clone)]
pub struct Reading {
    corpus: Corpus,
    sql: SqlRuntime,
    limits: SqlLimits,
    newest: Arc<Mutex<Option<Session>>>,
}

impl Reading {
    /// Readers of a corpus; people's SQL stays within `limits`.
    pub fn new(corpus: &Corpus, sql: &SqlRuntime, limits: SqlLimits) -> Self {
        Self { corpus: corpus.clone(), sql: sql.clone(), limits, newest: Arc::default() }
    }

    /// A session over everything committed so far.
    pub async fn newest(&self) -> Result<Session> {
        // The look at the tables happens under the lock too: nobody is given an older state than somebody before.
        let mut newest = self.newest.lock().await;
        let snapshot = self.corpus.snapshot().await?;
        if let Some(session) = newest.as_ref().filter(|session| session.snapshot().versions() == snapshot.versions()) {
            return Ok(session.clone());
        }
        let session = Session::open(&self.sql, snapshot, self.limits.clone()).await?;
        Ok(newest.insert(session).clone())
    }

    /// A session over the tables as they were at a moment.
    pub async fn at(&self, moment: Moment) -> Result<Session> {
        if moment == Moment::Now {
            return self.newest().await;
        }
        let snapshot = self.corpus.snapshot_of(moment).await?;
        Ok(Session::open(&self.sql, snapshot, self.limits.clone()).await?)
    }
}

/// All rows of a question of the program's own.
pub(crate) async fn rows<T: DeserializeOwned>(session: &Session, sql: &str) -> Result<Vec<T>> {
    Ok(session.query_trusted(sql, Vec::new()).await?.rows().await?)
}

/// The first row of a question of the program's own.
pub(crate) async fn first<T: DeserializeOwned>(session: &Session, sql: &str) -> Result<Option<T>> {
    Ok(rows(session, sql).await?.into_iter().next())
}
