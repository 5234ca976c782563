//! Single rows by their keys, in the newest version of the table: for those who ask about one at a time and need no snapshot
//! of everything else.

use std::collections::HashSet;

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::known::{is_in, stored};
use crate::snapshot::read_all;
use crate::table::TableId;
use crate::tables::faces::Face;
use crate::tables::labels::Label;

impl Corpus {
    /// Which of these faces the corpus has.
    pub async fn stored_faces(&self, face_ids: &[&str]) -> Result<HashSet<String>> {
        stored(&self.log().latest(TableId::Faces).await?, face_ids).await
    }

    /// The face with its image; its first row, should it have copies.
    ///
    /// # Errors
    /// [`Error::NoSuchFace`] also where the text is no id at all.
    pub async fn face(&self, face_id: &str) -> Result<Face> {
        let missing = || Error::NoSuchFace { face_id: face_id.to_owned() };
        if !is_face_id(face_id) {
            return Err(missing());
        }
        let faces = self.log().latest(TableId::Faces).await?;
        let rows = read_all::<Face>(&faces, Some(&format!("face_id = '{face_id}'"))).await?;
        let first = rows.into_iter().min_by(|a, b| (a.ingested_at, &a.stream).cmp(&(b.ingested_at, &b.stream)));
        first.ok_or_else(missing)
    }

    /// The labels of the request that came with this key, in the order of their ids; none where none came.
    ///
    /// Asked before every label of a page. The table has a fragment for each of the last labels, and reading them all would
    /// take longer than storing another: only those that came since the last question are read.
    pub async fn labels_of_request(&self, request_key: &str) -> Result<Vec<Label>> {
        let (labels, may_be_there) = {
            // The version is taken under the filter's lock: two that bring it up to other versions would read in turn.
            let mut keys = self.request_keys().lock().await;
            let labels = self.log().latest(TableId::Labels).await?;
            keys.catch_up(&labels).await?;
            (labels, keys.may_hold(request_key))
        };
        if !may_be_there {
            return Ok(Vec::new());
        }
        let mut rows = read_all::<Label>(&labels, Some(&is_in("request_key", &[request_key]))).await?;
        rows.sort_by(|a, b| a.label_id.cmp(&b.label_id));
        Ok(rows)
    }
}

/// Whether a text can be the id of a face: 64 lower-case hexadecimal digits.
pub fn is_face_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
