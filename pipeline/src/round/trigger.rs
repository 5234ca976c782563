//! When a round is due: new faces, new labels, time, or by hand.

use std::time::Duration;

use marginalia_store::{Corpus, Session, Snapshot, SqlLimits, SqlRuntime, TableId, Timestamp};
use serde::Deserialize;

use crate::config::RoundConfig;
use crate::error::Result;

/// Looks whether a round is due.
pub struct Triggers {
    corpus: Corpus,
    sql: SqlRuntime,
    config: RoundConfig,
    every: Option<Duration>,
    /// Versions of faces and labels at the last look: nothing new, nothing to count.
    looked_at: Option<(u64, u64)>,
    /// When somebody gave a round up: what came before asks for no other.
    given_up: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ClassCount {
    n: u64,
}

impl Triggers {
    /// The triggers of a corpus; `every` overrides the config's clock.
    pub fn new(corpus: &Corpus, sql: &SqlRuntime, config: &RoundConfig, every: Option<Duration>) -> Self {
        let every = every.or_else(|| config.trigger_every.duration());
        Self {
            corpus: corpus.clone(),
            sql: sql.clone(),
            config: config.clone(),
            every,
            looked_at: None,
            given_up: None,
        }
    }

    /// A round was given up by hand: what asked for it asks no more.
    pub fn given_up(&mut self) {
        self.given_up = Some(self.corpus.log().now());
    }

    /// Why a round is due now, if it is.
    pub async fn due(&mut self) -> Result<Option<&'static str>> {
        let snapshot = self.corpus.snapshot().await?;
        if self.corpus.planned_round(snapshot.rounds()).await?.is_some() {
            return Ok(Some("resume"));
        }
        let since = |at: Timestamp| self.given_up.map_or(at, |given_up| at.max(given_up));
        let last = snapshot.rounds().last().map(|round| (since(round.started_at), since(round.finished_at)));
        if let (Some(every), Some((_, finished))) = (self.every, last)
            && self.corpus.log().now().0 - finished.0 >= i64::try_from(every.as_micros()).unwrap_or(i64::MAX)
        {
            return Ok(Some("time"));
        }
        let versions = snapshot.versions();
        let looked_at = (versions[&TableId::Faces], versions[&TableId::Labels]);
        if self.looked_at == Some(looked_at) {
            return Ok(None);
        }
        self.looked_at = Some(looked_at);
        match last.map(|(started, _)| started).or(self.given_up) {
            None => self.first_round(&snapshot).await,
            Some(started) => self.next_round(&snapshot, started).await,
        }
    }

    /// The first round waits for labels of every class, or for enough of any.
    async fn first_round(&self, snapshot: &std::sync::Arc<Snapshot>) -> Result<Option<&'static str>> {
        let session = Session::open(&self.sql, snapshot.clone(), SqlLimits::default()).await?;
        let sql = "select count(c.face_id) as n from classes k left join \
                   (select face_id, expression from corpus where origin <> 'pseudo' and split = 'train') c \
                   on k.expression = c.expression group by k.expression";
        let counts: Vec<ClassCount> = session.query_trusted(sql, Vec::new()).await?.rows().await?;
        let every_class = counts.iter().all(|count| count.n >= self.config.min_labels_per_class);
        let total: u64 = counts.iter().map(|count| count.n).sum();
        let enough = self.config.min_labels_total > 0 && total >= self.config.min_labels_total;
        Ok((total > 0 && (every_class || enough)).then_some("labels"))
    }

    async fn next_round(&self, snapshot: &Snapshot, started: Timestamp) -> Result<Option<&'static str>> {
        let since =
            |column: &str| format!("{column} > arrow_cast({}, 'Timestamp(Microsecond, Some(\"UTC\"))')", started.0);
        let labels = snapshot.count(TableId::Labels, Some(&since("created_at"))).await?;
        if self.config.trigger_new_labels > 0 && labels >= self.config.trigger_new_labels {
            return Ok(Some("labels"));
        }
        let faces = snapshot.count(TableId::Faces, Some(&since("ingested_at"))).await?;
        Ok((self.config.trigger_new_faces > 0 && faces >= self.config.trigger_new_faces).then_some("faces"))
    }
}
