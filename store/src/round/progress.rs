//! How far the scoring of a round had come when it was killed.

use arrow::array::AsArray;
use futures::TryStreamExt;

use super::RoundWriter;
use crate::error::{Error, Result};
use crate::table::{TableId, column};

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

    /// Whether one of these faces has a prediction of this round.
    pub async fn has_scored(&self, face_ids: &[&str]) -> Result<bool> {
        let ids: Vec<String> = face_ids.iter().map(|id| format!("'{id}'")).collect();
        if ids.is_empty() {
            return Ok(false);
        }
        let predictions = self.corpus.log().latest(TableId::Predictions).await?;
        let filter = format!("{} AND face_id IN ({})", self.rows_of_round(), ids.join(", "));
        Ok(predictions.count_rows(Some(filter)).await.map_err(Error::table(TableId::Predictions))? > 0)
    }
}
