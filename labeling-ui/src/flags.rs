//! Flags: faces that somebody wants looked at, with why.
//!
//! In: a face and a note, or the flag that is to go. Out: a row of `flags`, on the disk. The view `flagged` holds the flags that
//! stand.

use marginalia_store::Corpus;
use marginalia_store::tables::flags::Flag;

use crate::error::{Error, Result};

/// Characters of a note.
pub(crate) const NOTE_CHARS: usize = 2000;

/// Sets a flag on a face.
///
/// # Errors
/// A face that is not there, a note that is empty or too long.
pub async fn set(corpus: &Corpus, face_id: &str, annotator: &str, note: &str) -> Result<Flag> {
    corpus.face(face_id).await?;
    let note = note.trim();
    if note.is_empty() || note.chars().count() > NOTE_CHARS {
        let problem = format!("1 to {NOTE_CHARS} characters that say what is to be looked at");
        return Err(Error::InvalidFlag { problem });
    }
    let flag = Flag {
        flag_id: uuid::Uuid::now_v7().to_string(),
        face_id: face_id.to_owned(),
        annotator: annotator.to_owned(),
        note: Some(note.to_owned()),
        created_at: corpus.log().now(),
        retracts: None,
    };
    corpus.writer::<Flag>().append(vec![flag.clone()]).await?;
    Ok(flag)
}

/// Takes a flag off.
///
/// # Errors
/// A flag that is not there, or was taken off before.
pub async fn take_off(corpus: &Corpus, flag_id: &str, annotator: &str) -> Result<Flag> {
    let missing = || Error::NoSuchFlag { flag_id: flag_id.to_owned() };
    let id = uuid::Uuid::parse_str(flag_id).map_err(|_| missing())?.to_string();
    let filter = format!("flag_id = '{id}' OR retracts = '{id}'");
    let mut rows = corpus.snapshot().await?.rows::<Flag>(Some(&filter)).await?;
    let flag = match (rows.pop(), rows.is_empty()) {
        (Some(flag), true) if flag.retracts.is_none() => flag,
        _ => return Err(missing()),
    };
    let row = Flag {
        flag_id: uuid::Uuid::now_v7().to_string(),
        annotator: annotator.to_owned(),
        note: None,
        created_at: corpus.log().now(),
        retracts: Some(flag.flag_id),
        ..flag
    };
    corpus.writer::<Flag>().append(vec![row.clone()]).await?;
    Ok(row)
}
