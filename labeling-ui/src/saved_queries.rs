//! Queries that people keep under a name, for all who work on the corpus.
//!
//! In: a name and a text. Out: rows of `saved_queries`; the latest of a name counts. A text is kept as it is: what it
//! may do is decided when it runs.

use std::collections::BTreeMap;

use marginalia_store::Corpus;
use marginalia_store::tables::saved_queries::SavedQuery;

use crate::error::{Error, Result};

/// Characters of a name.
pub(crate) const NAME_CHARS: usize = 100;

/// The queries that are kept, by name.
pub async fn list(corpus: &Corpus) -> Result<Vec<SavedQuery>> {
    let mut latest: BTreeMap<String, SavedQuery> = BTreeMap::new();
    for row in corpus.snapshot().await?.rows::<SavedQuery>(None).await? {
        match latest.get(&row.name) {
            Some(known) if known.saved_at > row.saved_at => {}
            _ => {
                latest.insert(row.name.clone(), row);
            }
        }
    }
    Ok(latest.into_values().filter(|row| row.sql.is_some()).collect())
}

/// Keeps a query, in place of the one of that name.
///
/// # Errors
/// A name or a text that is empty or too long, with the longest allowed.
pub async fn save(corpus: &Corpus, name: &str, sql: &str, author: &str, max_bytes: usize) -> Result<SavedQuery> {
    check(name)?;
    if sql.trim().is_empty() || sql.len() > max_bytes {
        let problem = format!("the text has {} bytes; it may have 1 to {max_bytes}", sql.len());
        return Err(Error::InvalidQuery { problem });
    }
    store(corpus, name, Some(sql.to_owned()), author).await
}

/// Removes the query of that name.
///
/// # Errors
/// Where there is none.
pub async fn remove(corpus: &Corpus, name: &str, author: &str) -> Result<SavedQuery> {
    if !list(corpus).await?.iter().any(|query| query.name == name) {
        return Err(Error::NoSuchQuery { name: name.to_owned() });
    }
    store(corpus, name, None, author).await
}

fn check(name: &str) -> Result<()> {
    let is_name = !name.trim().is_empty() && name.chars().count() <= NAME_CHARS && !name.chars().any(char::is_control);
    if is_name {
        return Ok(());
    }
    let problem = format!("a name has 1 to {NAME_CHARS} characters, none of them a control character");
    Err(Error::InvalidQuery { problem })
}

async fn store(corpus: &Corpus, name: &str, sql: Option<String>, author: &str) -> Result<SavedQuery> {
    let row = SavedQuery { name: name.to_owned(), sql, author: author.to_owned(), saved_at: corpus.log().now() };
    corpus.writer::<SavedQuery>().append(vec![row.clone()]).await?;
    Ok(row)
}
