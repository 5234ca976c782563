//! Which labels of a data set are new to a corpus, and which take the place of others.
//!
//! In: what was read of some faces. Out: for each label whether it is known, and which labels it replaces. Known is what the
//! same annotator said last about the same sighting, taken back or not, and what an export brought out of this corpus itself:
//! data sets are imported again and again, and a person's word is not to be undone by that.

use std::collections::HashMap;

use marginalia_store::{Session, TableId};

use super::spool::Seen;
use crate::error::Result;

/// Face ids named in one query.
const NAMED_AT_ONCE: usize = 500;

/// All rows of `labels` about some faces.
#[derive(Default)]
pub(super) struct KnownLabels {
    by_face: HashMap<String, Vec<Known>>,
}

#[derive(serde::Deserialize)]
struct Known {
    label_id: String,
    face_id: String,
    source: Option<String>,
    expression: Option<String>,
    annotator: String,
    retracts: Option<String>,
}

/// A label that a data set brings.
pub(super) struct Brought<'a> {
    pub face_id: &'a str,
    pub source: &'a str,
    pub class: &'a str,
    pub annotator: &'a str,
    /// The label that an export of ours made it from.
    pub label_id: Option<&'a str>,
    /// Whether somebody has changed it since.
    pub is_changed: bool,
}

impl KnownLabels {
    /// Those about the faces of `rows`.
    pub async fn of(session: &Session, rows: &[Seen]) -> Result<Self> {
        let mut known = Self::default();
        if session.snapshot().count(TableId::Labels, None).await? == 0 {
            return Ok(known);
        }
        let ids: Vec<&str> = rows.iter().filter_map(|row| row.sighting.face_id.as_deref()).collect();
        for ids in ids.chunks(NAMED_AT_ONCE) {
            let sql = format!(
                "select label_id, face_id, source, expression, annotator, retracts from labels where face_id in ('{}') \
                 order by created_at, label_id",
                ids.join("', '")
            );
            for row in session.query_trusted(&sql, Vec::new()).await?.rows::<Known>().await? {
                known.by_face.entry(row.face_id.clone()).or_default().push(row);
            }
        }
        Ok(known)
    }

    /// The labels that a new one takes the place of; none where it is known.
    pub fn replaced(&self, brought: &Brought<'_>) -> Option<Vec<String>> {
        let rows = self.by_face.get(brought.face_id).map_or(&[][..], Vec::as_slice);
        let labels = || rows.iter().filter(|row| row.retracts.is_none());
        let is_origin = |row: &&Known| brought.label_id == Some(row.label_id.as_str());
        let is_of_source = |row: &&Known| row.source.as_deref() == Some(brought.source);
        if !brought.is_changed && labels().any(|row| is_origin(&row)) {
            return None;
        }
        let last = labels().filter(is_of_source).rfind(|row| row.annotator == brought.annotator);
        if last.is_some_and(|row| row.expression.as_deref() == Some(brought.class)) {
            return None;
        }
        let stands = |row: &&Known| !rows.iter().any(|other| other.retracts.as_ref() == Some(&row.label_id));
        let gives_way = |row: &&Known| is_origin(row) || (is_of_source(row) && row.annotator != brought.annotator);
        let replaced = labels().filter(|row| brought.is_changed && gives_way(row) && stands(row));
        Some(replaced.map(|row| row.label_id.clone()).collect())
    }
}
