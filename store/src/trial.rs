//! The trial commit of `init`: what a corpus needs of its file system, tried before anything depends on it.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use lance::Dataset;
use lance::dataset::{InsertBuilder, WriteMode, WriteParams};
use lance_table::io::commit::CommitHandler;

use crate::commit::DurableCommits;
use crate::error::{Error, Result};
use crate::home::utf8;

/// Creates a small table, appends to it, reads it back, and removes it.
///
/// # Errors
/// [`Error::FileSystem`] with the reason, where hard links, locks or plain writes do not work.
pub(crate) async fn commit(root: &Path) -> Result<()> {
    let folder = root.join("tables").join(".trial");
    let outcome = run(&folder).await;
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
    }
    outcome.map_err(|reason| Error::FileSystem { path: root.to_owned(), reason })
}

async fn run(folder: &Path) -> std::result::Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|e| format!("creating a folder failed ({e})"))?;
    let (first, second) = (folder.join("a"), folder.join("b"));
    std::fs::write(&first, b"trial").map_err(|e| format!("writing a file failed ({e})"))?;
    std::fs::hard_link(&first, &second).map_err(|e| {
        format!(
            "it has no hard links ({e}), which commits need (exFAT and some network mounts); choose ext4, XFS or APFS"
        )
    })?;
    if std::fs::hard_link(&first, &second).is_ok() {
        return Err("it lets two writers create one file, so commits would overwrite each other".to_owned());
    }
    let schema = Arc::new(Schema::new(vec![Field::new("trial", DataType::Int32, false)]));
    let batch = RecordBatch::try_new(schema, vec![Arc::new(Int32Array::from(vec![1]))]).map_err(|e| e.to_string())?;
    let table = utf8(&folder.join("trial.lance")).map_err(|e| e.to_string())?;
    for mode in [WriteMode::Create, WriteMode::Append] {
        let commit_handler: Arc<dyn CommitHandler> = Arc::new(DurableCommits::new(true));
        let params = WriteParams { mode, commit_handler: Some(commit_handler), ..WriteParams::default() };
        InsertBuilder::new(table.as_str())
            .with_params(&params)
            .execute(vec![batch.clone()])
            .await
            .map_err(|e| format!("a trial commit failed ({e})"))?;
    }
    let rows = async { Dataset::open(&table).await?.count_rows(None).await }.await;
    match rows {
        Ok(2) => Ok(()),
        Ok(rows) => Err(format!("a trial table reads back {rows} rows instead of 2")),
        Err(e) => Err(format!("a trial table does not read back ({e})")),
    }
}
