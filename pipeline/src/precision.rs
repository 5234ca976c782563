//! How right the predictions are, measured against the hidden truth of a simulation.
//!
//! In: a session over a corpus whose import kept its truth, or a demo's. Out: counts by subset. Only `demo` and `bench`
//! come here: nothing that trains or shows may know the truth.

use std::collections::HashMap;

use marginalia_store::tables::truth::Truth;
use marginalia_store::{Session, Snapshot};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Predictions with a known truth, and how many of them are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Precision {
    /// Predictions of subset I.
    pub subset_one: u64,
    /// Right ones among them.
    pub subset_one_right: u64,
    /// All predictions.
    pub all: u64,
    /// Right ones among them.
    pub all_right: u64,
}

impl Precision {
    /// Precision of subset I; none where it is empty.
    pub fn of_subset_one(&self) -> Option<f64> {
        share(self.subset_one_right, self.subset_one)
    }

    /// Precision of all predictions.
    pub fn of_all(&self) -> Option<f64> {
        share(self.all_right, self.all)
    }

    /// Share of the predictions that is in subset I.
    pub fn subset_one_share(&self) -> Option<f64> {
        share(self.subset_one, self.all)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Hidden classes by face.
pub async fn truth(snapshot: &Snapshot) -> Result<HashMap<String, String>> {
    let rows = snapshot.rows::<Truth>(None).await?;
    Ok(rows.into_iter().map(|row| (row.face_id, row.expression)).collect())
}

#[derive(Deserialize)]
struct Predicted {
    face_id: String,
    expression: String,
    subset: String,
}

/// Compares the current predictions with the truth.
pub async fn against_truth(session: &Session) -> Result<Precision> {
    let truth = truth(session.snapshot()).await?;
    let mut counts = Precision::default();
    let sql = "select face_id, expression, subset from current_predictions";
    let mut answer = session.query_trusted(sql, Vec::new()).await?;
    while let Some(batch) = answer.next_rows::<Predicted>().await? {
        for row in batch {
            let Some(class) = truth.get(&row.face_id) else { continue };
            let right = u64::from(*class == row.expression);
            counts.all += 1;
            counts.all_right += right;
            if row.subset == "I" {
                counts.subset_one += 1;
                counts.subset_one_right += right;
            }
        }
    }
    Ok(counts)
}
