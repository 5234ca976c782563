//! How far the scoring of a round had come when it was killed.

use arrow::array::AsArray;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::{RoundWriter, name, read_json, to_json, write_whole};
use crate::error::{Error, Result};
use crate::table::{TableId, column};
use crate::tables::predictions::Prediction;

/// In the round's folder: how far its scoring in chunks of fragments has come.
const CHUNKS: &str = "chunks.json";

/// What stands there, written before each chunk: whether its predictions came, the table says. A note in their commits
/// would go while the round is under way, with the versions that those made.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Chunks {
    /// Fragments of `faces` that are scored.
    done: Vec<u64>,
    /// Predictions of the round then.
    rows: u64,
    /// The fragments of the chunk.
    next: Vec<u64>,
}

impl RoundWriter {
    /// The last face that was scored before a kill, and how many there are: a round scores in the order of the ids, so
    /// this is where to go on. Features written for faces behind it are removed: their predictions never came.
    pub async fn scored(&self) -> Result<(Option<String>, u64)> {
        let predictions = self.corpus.log().latest(TableId::Predictions).await?;
        let (mut last, mut rows) = (None::<String>, 0);
        let mut scan = predictions.scan();
        scan.filter(&self.rows_of_round()).map_err(Error::table(TableId::Predictions))?;
        scan.project(&["face_id"]).map_err(Error::table(TableId::Predictions))?;
        let mut batches = scan.try_into_stream().await.map_err(Error::table(TableId::Predictions))?;
        while let Some(batch) = batches.try_next().await.map_err(Error::table(TableId::Predictions))? {
            let ids = column(&batch, TableId::Predictions, "face_id")?.as_string::<i32>();
            rows += batch.num_rows() as u64;
            last = ids.iter().flatten().map(str::to_owned).chain(last).max();
        }
        let behind = match &last {
            Some(last) => format!("{} AND face_id > '{last}'", self.rows_of_round()),
            None => self.rows_of_round(),
        };
        self.delete(TableId::Embeddings, &behind).await?;
        Ok((last, rows))
    }

    /// The fragments of `faces` that were scored before a kill, and how many predictions there are.
    pub async fn scored_fragments(&self) -> Result<(Vec<u64>, u64)> {
        let rows = self.count_predictions().await?;
        let is_there = self.corpus.home().fetch(&self.chunks_file()).await?;
        let file = self.corpus.path().join(self.chunks_file());
        let known: Option<Chunks> = if is_there { read_json(&file)? } else { None };
        let Chunks { mut done, rows: before, next } = known.unwrap_or_default();
        if rows > before {
            done.extend(next);
        }
        Ok((done, rows))
    }

    /// Writes the predictions of all faces in the fragments `next`, those of `done` being written. Call it with all
    /// predictions of a chunk at once: they are one commit.
    pub async fn write_chunk(&self, done: &[u64], next: &[u64], predictions: Vec<Prediction>) -> Result<()> {
        let chunks = Chunks { done: done.to_vec(), rows: self.count_predictions().await?, next: next.to_vec() };
        write_whole(&self.corpus.path().join(self.chunks_file()), to_json(&chunks)?.as_bytes())?;
        self.corpus.home().push(&self.chunks_file()).await?;
        self.write_predictions(predictions).await
    }

    fn chunks_file(&self) -> String {
        format!("{}/{CHUNKS}", name(self.plan.round))
    }

    async fn count_predictions(&self) -> Result<u64> {
        let predictions = self.corpus.log().latest(TableId::Predictions).await?;
        let rows = predictions.count_rows(Some(self.rows_of_round())).await;
        Ok(rows.map_err(Error::table(TableId::Predictions))? as u64)
    }
}
