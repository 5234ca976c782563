//! Scoring of the pool with the round's teacher, in a fixed order, resumable.
//!
//! In: the pool of the round's snapshot, in the order of the ids, one narrow range of them after the other: ids are hashes,
//! so equal ranges hold about equally many, and every table has an index that answers a range. Out: predictions and
//! embeddings, range by range; the last id that has a prediction is the progress. Memory holds one range, whatever the pool.
//! Before them come embeddings of the labelled faces: what people should see next depends on what they have seen.

use marginalia_store::{Session, SqlLimits, TableId, id_ranges};
use marginalia_trainer::device::Backend;
use serde::Deserialize;

use super::training::Trained;
use super::{Prepared, Run, parameters, queue};
use crate::error::Result;
use crate::events::Event;
use crate::teacher::{Scored, Teacher};

/// Faces of one range: their ids are looked up and their images scored before the next commit.
pub const RANGE: u64 = 4096;

/// What scoring counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub scored: u64,
    pub subset_one: u64,
    pub subset_two: u64,
    pub temperature: Option<f32>,
}

#[derive(Deserialize)]
struct FaceId {
    face_id: String,
}

impl Run<'_> {
    /// Scores the pool; `None` where the token stopped it.
    pub(super) async fn score(&self, prepared: &Prepared, trained: &Trained) -> Result<Option<Counts>> {
        let temperature = trained.temperature;
        let classes = self.context.corpus.classes();
        let backend = Backend::open(&self.planned.train.device)?;
        let (folder, threads) = (self.writer.folder(), self.planned.train.threads);
        let teacher = Teacher::load_on(backend, &folder, self.round(), classes, temperature, threads)?;
        let session = self.session().await?;
        let total = match self.planned.round.max_scored {
            0 => prepared.pool,
            most => prepared.pool.min(most),
        };
        let keep_all = self.writer.snapshot().count(TableId::Faces, None).await? <= self.planned.round.embeddings_limit;
        let (last, done) = self.writer.scored().await?;
        let mut last = last.unwrap_or_default();
        if !self.embed_labelled(&session, &teacher, &last).await? {
            return Ok(None);
        }
        let started = std::time::Instant::now();
        let mut scored = done;
        for range in id_ranges(prepared.pool.div_ceil(RANGE)) {
            if range.ends_before(&last) || scored >= total {
                continue;
            }
            if self.context.token.is_cancelled() {
                return Ok(None);
            }
            let sql = format!(
                "select face_id from unlabelled where {} and face_id > '{last}' order by face_id limit {}",
                range.condition(),
                total - scored
            );
            let rows: Vec<FaceId> = session.query_trusted(&sql, Vec::new()).await?.rows().await?;
            let Some(end) = rows.last() else { continue };
            last.clone_from(&end.face_id);
            scored += rows.len() as u64;
            let face_ids: Vec<String> = rows.into_iter().map(|row| row.face_id).collect();
            self.score_range(&teacher, &face_ids, keep_all).await?;
            self.context.reporter.emit(Event::PoolScored {
                round: self.round(),
                scored,
                faces: total,
                images_per_second: (scored - done) as f64 / started.elapsed().as_secs_f64().max(1e-9),
            });
        }
        let mut counts = self.count().await?;
        counts.temperature = temperature;
        Ok(Some(counts))
    }

    /// Writes the features of the labelled faces behind `last`: those up to it were written before its prediction was,
    /// and a kill costs only those behind it. False where the token stopped it.
    pub(super) async fn embed_labelled(&self, session: &Session, teacher: &Teacher, last: &str) -> Result<bool> {
        let sql = format!(
            "select face_id from corpus where origin <> 'pseudo' and split = 'train' and face_id > '{last}' \
             order by face_id"
        );
        let rows: Vec<FaceId> = session.query_trusted(&sql, Vec::new()).await?.rows().await?;
        let face_ids: Vec<String> = rows.into_iter().map(|row| row.face_id).collect();
        for face_ids in face_ids.chunks(RANGE as usize) {
            if self.context.token.is_cancelled() {
                return Ok(false);
            }
            let scored = self.scored(teacher, face_ids).await?;
            self.writer.write_embeddings(scored.embeddings).await?;
        }
        Ok(true)
    }

    async fn score_range(&self, teacher: &Teacher, face_ids: &[String], keep_all: bool) -> Result<()> {
        let Scored { predictions, embeddings, .. } = self.scored(teacher, face_ids).await?;
        // Beyond the limit features are kept of what people will see: subset II and a sample of the rest.
        let kept = embeddings.into_iter().zip(&predictions).filter_map(|(embedding, prediction)| {
            (keep_all || prediction.subset == "II" || embedding.face_id.starts_with('0')).then_some(embedding)
        });
        self.writer.write_embeddings(kept.collect()).await?;
        Ok(self.writer.write_predictions(predictions).await?)
    }

    /// What the teacher says about faces whose ids lie close together.
    async fn scored(&self, teacher: &Teacher, face_ids: &[String]) -> Result<Scored> {
        let snapshot = self.writer.snapshot();
        let places = snapshot.places_close_by(face_ids).await?;
        let mut all = Scored { predictions: Vec::new(), embeddings: Vec::new(), undecodable: Vec::new() };
        for (ids, places) in face_ids
            .chunks(self.planned.round.score_batch.max(1))
            .zip(places.chunks(self.planned.round.score_batch.max(1)))
        {
            let images = snapshot.images(places).await?;
            let scored = teacher.score(ids.iter().cloned().zip(images).collect()).await?;
            for face_id in &scored.undecodable {
                tracing::warn!("face {face_id} does not decode any more; run `marginalia verify`");
            }
            all.predictions.extend(scored.predictions);
            all.embeddings.extend(scored.embeddings);
        }
        Ok(all)
    }

    pub(super) async fn count(&self) -> Result<Counts> {
        let now = self.context.corpus.snapshot().await?;
        let round = self.round();
        let of = |subset: &str| format!("round = {round} AND subset = '{subset}'");
        let subset_one = now.count(TableId::Predictions, Some(&of("I"))).await?;
        let subset_two = now.count(TableId::Predictions, Some(&of("II"))).await?;
        Ok(Counts { scored: subset_one + subset_two, subset_one, subset_two, temperature: None })
    }

    /// Materialises the top of the queue.
    pub(super) async fn write_queue(&self) -> Result<()> {
        // The round's predictions are not visible yet; `candidates` shows them to this session alone.
        let snapshot = self.context.corpus.snapshot().await?.with_candidates(self.round());
        let session = Session::open(&self.context.sql, snapshot, SqlLimits::default()).await?;
        let rows = self.curriculum.queue(&session, parameters(&self.planned, self.seed())).await?;
        let entries = queue::top(&session, self.round(), self.seed(), &self.planned.round, rows).await?;
        Ok(self.writer.write_queue(entries).await?)
    }
}
