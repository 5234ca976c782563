//! Single faces by their ids, in the newest version of the table: for those who ask about one face at a time and need no
//! snapshot of everything else.

use std::collections::HashSet;

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::known::stored;
use crate::snapshot::read_all;
use crate::table::TableId;
use crate::tables::faces::Face;

impl Corpus {
    /// Which of these faces the corpus has.
    pub async fn stored_faces(&self, face_ids: &[&str]) -> Result<HashSet<String>> {
        stored(&self.log().latest(TableId::Faces).await?, face_ids).await
    }

    /// The face with its image.
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
        rows.into_iter().next().ok_or_else(missing)
    }
}

/// Whether a text can be the id of a face: 64 lower-case hexadecimal digits.
pub fn is_face_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
