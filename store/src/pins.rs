//! Pinned versions: Lance tags that keep clean-up away from what a round read or wrote.

use std::path::Path;
use std::sync::Arc;

use lance::Dataset;

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::snapshot::Versions;
use crate::table::TableId;

/// Tag of the state in which a round's marker was committed.
pub(crate) fn round_tag(round: u32) -> String {
    format!("round-{round}")
}

/// Tag of the state that a round reads: there from its start, and as long as the round can be looked back at.
pub(crate) fn read_tag(round: u32) -> String {
    format!("read-{round}")
}

/// The version that a tag names.
pub(crate) async fn version(dataset: &Arc<Dataset>, table: TableId, tag: &str) -> Result<Option<u64>> {
    let tags = dataset.tags().list().await.map_err(Error::table(table))?;
    Ok(tags.get(tag).map(|contents| contents.version))
}

/// Every tag of a table and the version it names.
pub(crate) async fn all(dataset: &Arc<Dataset>, table: TableId) -> Result<Vec<(String, u64)>> {
    let tags = dataset.tags().list().await.map_err(Error::table(table))?;
    Ok(tags.into_iter().map(|(tag, contents)| (tag, contents.version)).collect())
}

/// Rounds whose state is pinned, in order.
pub(crate) async fn kept_rounds(rounds: &Arc<Dataset>) -> Result<Vec<u32>> {
    let tags = rounds.tags().list().await.map_err(Error::table(TableId::Rounds))?;
    let mut kept: Vec<u32> = tags.keys().filter_map(|tag| tag.strip_prefix("round-")?.parse().ok()).collect();
    kept.sort_unstable();
    Ok(kept)
}

/// A pin must outlast a power cut: without it clean-up takes the version that it kept.
fn sync(table: &Path, tag: &str) -> Result<()> {
    sync_path(&table.join("_refs").join("tags").join(format!("{tag}.json")))?;
    sync_folders(table)
}

fn sync_folders(table: &Path) -> Result<()> {
    let refs = table.join("_refs");
    [refs.join("tags"), refs, table.to_owned()].iter().try_for_each(|folder| sync_path(folder))
}

fn sync_path(path: &Path) -> Result<()> {
    let synced = std::fs::File::open(path).and_then(|opened| opened.sync_all());
    synced.map_err(|source| Error::Sync { path: path.to_owned(), source })
}

/// Tag of a state that work outside the store goes on reading.
fn held_tag(what: &str) -> String {
    format!("held-{}", &blake3::hash(what.as_bytes()).to_hex()[..16])
}

impl Corpus {
    /// Keeps a state from being cleaned up until [`Corpus::let_go`], whatever happens to this process. `what` names the work,
    /// such as an export into some folder; the same name again holds the new state instead.
    pub async fn hold(&self, what: &str, versions: &Versions) -> Result<()> {
        self.pin(&held_tag(what), versions).await
    }

    /// The work of this name is done.
    pub async fn let_go(&self, what: &str) -> Result<()> {
        self.unpin(&held_tag(what)).await
    }

    /// Gives every table's version this tag; a tag that is there already moves.
    pub(crate) async fn pin(&self, tag: &str, versions: &Versions) -> Result<()> {
        for (table, version) in versions {
            let dataset = self.log().latest(*table).await?;
            let tags = dataset.tags();
            let known = tags.list().await.map_err(Error::table(*table))?;
            match known.get(tag) {
                Some(contents) if contents.version == *version => {}
                Some(_) => tags.update(tag, *version).await.map_err(Error::table(*table))?,
                None => tags.create(tag, *version).await.map_err(Error::table(*table))?,
            }
            if let Some(folder) = self.home().local_table(*table).filter(|_| self.options().sync) {
                sync(&folder, tag)?;
            }
        }
        Ok(())
    }

    /// Takes a tag off every table that has it.
    pub(crate) async fn unpin(&self, tag: &str) -> Result<()> {
        for table in TableId::ALL {
            let dataset = self.log().latest(*table).await?;
            let known = dataset.tags().list().await.map_err(Error::table(*table))?;
            if known.contains_key(tag) {
                dataset.tags().delete(tag).await.map_err(Error::table(*table))?;
                if let Some(folder) = self.home().local_table(*table).filter(|_| self.options().sync) {
                    sync_folders(&folder)?;
                }
            }
        }
        Ok(())
    }
}
