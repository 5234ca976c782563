//! Scoring of a large pool in chunks of fragments, on a cluster where there is one.
//!
//! In: the fragments of the round's snapshot of `faces`, in chunks of about `cluster.chunk_faces` faces. Out: what
//! `scoring` writes, chunk by chunk: the faces of a chunk are read where they lie, one fragment after the other, and
//! scored by the function `score`; only the numbers come back. The predictions of a chunk are one commit, so a chunk
//! has all of them or none, and a round that was killed goes on with the fragments that have none, in chunks of the size
//! that is set by then. Killed between a chunk's features and its predictions, it writes those features again; whoever
//! reads features takes each face once. Memory holds one chunk.

use std::collections::HashSet;
use std::time::Duration;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::Float32Type;
use marginalia_store::tables::embeddings::Embedding;
use marginalia_store::tables::predictions::Prediction;
use marginalia_store::{Feature, Session, Snapshot, SqlLimits, TableId, Timestamp};
use marginalia_trainer::Score;
use marginalia_trainer::checkpoint::TEACHER_FILE;
use serde::Deserialize;

use super::scoring::Counts;
use super::training::Trained;
use super::{Prepared, RoundContext, Run, relative};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::teacher::Teacher;

/// The name of a chunk's faces in its session.
const CHUNK: &str = "chunk";
/// How often a chunk is tried.
const ATTEMPTS: u32 = 3;
/// Pause before it is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Whether a round over this snapshot scores so: there is a cluster, the pool is large, and all of it is wanted.
pub(super) async fn is_worth_it(context: &RoundContext, snapshot: &Snapshot) -> Result<bool> {
    let Some(from_rows) = context.sql.cluster_from_rows() else { return Ok(false) };
    Ok(context.config.round.max_scored == 0 && snapshot.count(TableId::Faces, None).await? >= from_rows)
}

#[derive(Deserialize)]
struct FaceId {
    face_id: String,
}

impl Run<'_> {
    /// Scores the pool; `None` where the token stopped it.
    pub(super) async fn score_in_chunks(&self, prepared: &Prepared, trained: &Trained) -> Result<Option<Counts>> {
        let classes = self.context.corpus.classes();
        let (folder, threads) = (self.writer.folder(), self.planned.train.threads);
        let teacher = Teacher::load(&folder, self.round(), classes, trained.temperature, threads)?;
        let checkpoint = relative(self.context.corpus.path(), &self.writer.folder());
        // Other machines take it from the store.
        self.context.corpus.home().push(&format!("{checkpoint}/{TEACHER_FILE}")).await?;
        let sql = self.question(&teacher, &checkpoint, &trained.checkpoint_hash).await?;
        if !self.embed_labelled(&self.session().await?, &teacher, "").await? {
            return Ok(None);
        }
        let (mut done, before) = self.writer.scored_fragments().await?;
        let mut left = self.writer.snapshot().face_fragments()?;
        left.retain(|(id, _)| !done.contains(id));
        let (started, mut scored) = (std::time::Instant::now(), before);
        for fragments in chunks(left, self.context.config.cluster.chunk_faces) {
            let chunk = self.chunk(&fragments, &sql, &teacher);
            let Some(chunk) = self.context.token.run_until_cancelled(chunk).await else { return Ok(None) };
            let (predictions, embeddings) = chunk?;
            scored += predictions.len() as u64;
            self.writer.write_embeddings(embeddings).await?;
            self.writer.write_chunk(&done, &fragments, predictions).await?;
            done.extend(fragments);
            self.context.reporter.emit(Event::PoolScored {
                round: self.round(),
                scored,
                faces: prepared.pool,
                images_per_second: (scored - before) as f64 / started.elapsed().as_secs_f64().max(1e-9),
            });
        }
        let mut counts = self.count().await?;
        counts.temperature = trained.temperature;
        Ok(Some(counts))
    }

    /// What is asked about a chunk: all that is stored of a face, its feature only where it is kept.
    async fn question(&self, teacher: &Teacher, checkpoint: &str, hash: &str) -> Result<String> {
        let faces = self.writer.snapshot().count(TableId::Faces, None).await?;
        let kept = match faces <= self.planned.round.embeddings_limit {
            true => "true".to_owned(),
            false => {
                let quoted = |text: &str| text.replace('\'', "''");
                let margins = teacher.classes().iter().zip(teacher.margins());
                let cases: Vec<String> =
                    margins.map(|(class, margin)| format!("when '{}' then {margin}", quoted(class))).collect();
                format!(
                    "face_id like '0%' or said['confidence'] < cast(case said['expression'] {} end as real)",
                    cases.join(" ")
                )
            }
        };
        let place = format!("{}/{checkpoint}", self.context.corpus.home().place()).replace('\'', "''");
        Ok(format!(
            "select face_id, said['expression'] as expression, said['confidence'] as confidence, \
             said['entropy'] as entropy, said['top2_gap'] as top2_gap, \
             said['mutual_information'] as mutual_information, said['probabilities'] as probabilities, \
             case when {kept} then said['feature'] end as feature \
             from (select face_id, score(image, '{place}', '{hash}') as said from {CHUNK})"
        ))
    }

    /// The round's session, with some fragments of `faces` under a name of their own.
    async fn session_over(&self, fragments: Vec<u64>) -> Result<Session> {
        let snapshot = self.writer.snapshot().clone();
        let chunk = snapshot.faces_in(fragments)?;
        let extend =
            move |context: &datafusion::prelude::SessionContext| context.register_table(CHUNK, chunk).map(drop);
        Ok(Session::open_with(&self.context.sql, snapshot, SqlLimits::default(), extend).await?)
    }

    /// The rows of a chunk. An executor that dies with rows that were not fetched yet costs the chunk one more time.
    async fn chunk(
        &self,
        fragments: &[u64],
        sql: &str,
        teacher: &Teacher,
    ) -> Result<(Vec<Prediction>, Vec<Embedding>)> {
        let session = self.session_over(fragments.to_vec()).await?;
        let wanted = wanted(&session).await?;
        if wanted.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        for _ in 1..ATTEMPTS {
            match self.try_chunk(&session, sql, teacher, wanted.clone()).await {
                Err(error) if session.has_cluster() => {
                    tracing::warn!("a chunk of the pool is scored again: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
        self.try_chunk(&session, sql, teacher, wanted).await
    }

    async fn try_chunk(
        &self,
        session: &Session,
        sql: &str,
        teacher: &Teacher,
        mut wanted: HashSet<String>,
    ) -> Result<(Vec<Prediction>, Vec<Embedding>)> {
        let mut answer = match session.has_cluster() {
            true => session.query_elsewhere(sql).await?,
            false => session.query_trusted(sql, Vec::new()).await?,
        };
        let (round, now) = (self.round(), Timestamp::now());
        let (mut predictions, mut embeddings) = (Vec::with_capacity(wanted.len()), Vec::new());
        while let Some(batch) = answer.next().await? {
            for (face_id, score) in scores(&batch, teacher.classes())? {
                // Faces that were stored twice, or are not of the pool.
                if !wanted.remove(&face_id) {
                    continue;
                }
                let Some(score) = score else {
                    tracing::warn!("face {face_id} does not decode any more; run `marginalia verify`");
                    continue;
                };
                if !score.feature.is_empty() {
                    let feature = Feature::from_f32(&score.feature);
                    embeddings.push(Embedding { round, face_id: face_id.clone(), feature });
                }
                predictions.push(teacher.prediction(&face_id, score, now));
            }
        }
        Ok((predictions, embeddings))
    }
}

/// Fragments (id, rows) in chunks of about so many faces, in order.
fn chunks(fragments: Vec<(u64, u64)>, faces: u64) -> Vec<Vec<u64>> {
    let (mut chunks, mut rows) = (Vec::<Vec<u64>>::new(), u64::MAX);
    for (id, of_fragment) in fragments {
        if rows.saturating_add(of_fragment) > faces {
            chunks.push(Vec::new());
            rows = 0;
        }
        rows += of_fragment;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(id);
        }
    }
    chunks
}

/// The faces of a chunk that are in the pool.
async fn wanted(session: &Session) -> Result<HashSet<String>> {
    let sql = format!("select face_id from {CHUNK} where face_id in (select face_id from unlabelled)");
    let mut answer = session.query_trusted(&sql, Vec::new()).await?;
    let mut wanted = HashSet::new();
    while let Some(rows) = answer.next_rows::<FaceId>().await? {
        wanted.extend(rows.into_iter().map(|row| row.face_id));
    }
    Ok(wanted)
}

/// What a batch says of each face; none of one that does not decode.
fn scores(batch: &RecordBatch, classes: &[String]) -> Result<Vec<(String, Option<Score>)>> {
    let column = |name: &str| {
        let missing = || Error::Internal { what: format!("scores without a column {name}") };
        batch.column_by_name(name).ok_or_else(missing)
    };
    let (ids, expressions) = (column("face_id")?.as_string::<i32>(), column("expression")?.as_string::<i32>());
    let number = |name| Ok::<_, Error>(column(name)?.as_primitive::<Float32Type>());
    let list = |name| Ok::<_, Error>(column(name)?.as_list::<i32>());
    let (confidence, entropy, gap) = (number("confidence")?, number("entropy")?, number("top2_gap")?);
    let (disagreement, probabilities, features) =
        (number("mutual_information")?, list("probabilities")?, list("feature")?);
    let row = |i: usize| {
        let class = classes.iter().position(|class| expressions.is_valid(i) && class == expressions.value(i));
        let score = class.map(|class| Score {
            probabilities: probabilities.value(i).as_primitive::<Float32Type>().values().to_vec(),
            class,
            confidence: confidence.value(i),
            entropy: entropy.value(i),
            top2_gap: gap.value(i),
            mutual_information: disagreement.is_valid(i).then(|| disagreement.value(i)),
            feature: match features.is_valid(i) {
                true => features.value(i).as_primitive::<Float32Type>().values().to_vec(),
                false => Vec::new(),
            },
        });
        (ids.value(i).to_owned(), score)
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_hold_whole_fragments_and_every_one_of_them() {
        let fragments = vec![(1, 400), (2, 500), (3, 2000), (4, 10), (5, 10)];
        assert_eq!(chunks(fragments, 1000), [vec![1, 2], vec![3], vec![4, 5]]);
        assert!(chunks(Vec::new(), 1000).is_empty());
    }
}
