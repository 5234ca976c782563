//! Tables opened by plans that came from elsewhere, once a process.
//!
//! In: a table's place and version. Out: the table, the same one for every task that asks while it is remembered, all
//! of them with one set of caches. And which failures will pass: a store that answers with an error of its own or not
//! in time is asked again by whoever runs the task; whatever else goes wrong would go wrong again.

use std::collections::VecDeque;
use std::error::Error as StdError;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use datafusion::error::{DataFusionError, Result};
use datafusion::prelude::SessionConfig;
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::session::Session;
use tokio::sync::OnceCell;

use crate::corpus::Options;

/// Tables remembered.
const KEPT: usize = 64;

/// How stores say that they failed, or could not be asked.
const STORE_FAILURES: [&str; 2] = ["non-2xx status code: 5", "HTTP error: "];

type Slot = Arc<OnceCell<Arc<Dataset>>>;

/// By place and version, those asked for last in front.
static OPENED: Mutex<VecDeque<(String, u64, Slot)>> = Mutex::new(VecDeque::new());

/// The caches of tables that are opened here, all of them together. They stand in the settings of the tasks that read the
/// tables; in a process that sets none they are as large as [`Options`] are by default.
#[derive(Debug)]
pub struct TableCaches(Arc<Session>);

impl TableCaches {
    /// As large as these options say.
    pub fn new(options: &Options) -> Self {
        Self(Arc::new(Session::new(options.index_cache_bytes, options.metadata_cache_bytes, Arc::default())))
    }
}

static USUAL: LazyLock<Arc<TableCaches>> = LazyLock::new(|| Arc::new(TableCaches::new(&Options::default())));

/// The table, opened where nobody asked for it lately.
pub(super) async fn open(uri: &str, version: u64, task: &SessionConfig) -> Result<Arc<Dataset>> {
    let caches = task.get_extension::<TableCaches>().unwrap_or_else(|| USUAL.clone());
    let opening = async {
        let builder = DatasetBuilder::from_uri(uri).with_version(version).with_session(caches.0.clone());
        Ok::<_, DataFusionError>(Arc::new(builder.load().await?))
    };
    slot(uri, version).get_or_try_init(|| opening).await.cloned()
}

fn slot(uri: &str, version: u64) -> Slot {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let place = opened.iter().position(|(known, of, _)| known == uri && *of == version);
    let entry = place.and_then(|place| opened.remove(place));
    let entry = entry.unwrap_or_else(|| (uri.to_owned(), version, Slot::default()));
    let slot = entry.2.clone();
    opened.push_front(entry);
    opened.truncate(KEPT);
    slot
}

/// A failure of the store's as one of input and output, which is tried again; every other as it is.
pub(super) fn passing_as_io(error: DataFusionError) -> DataFusionError {
    match will_pass(&error) {
        true => DataFusionError::IoError(io::Error::other(error.strip_backtrace())),
        false => error,
    }
}

fn will_pass(error: &(dyn StdError + 'static)) -> bool {
    use io::ErrorKind as Kind;
    std::iter::successors(Some(error), |&error| error.source()).any(|cause| match cause.downcast_ref::<io::Error>() {
        Some(cause) => matches!(
            cause.kind(),
            Kind::TimedOut
                | Kind::ConnectionRefused
                | Kind::ConnectionReset
                | Kind::ConnectionAborted
                | Kind::NotConnected
                | Kind::BrokenPipe
        ),
        // The store's errors have no type that can be named here.
        None => {
            let words = cause.to_string();
            STORE_FAILURES.iter().any(|failure| words.contains(failure))
        }
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array, RecordBatch, RecordBatchIterator};
    use datafusion::common::exec_datafusion_err;

    use super::*;

    #[tokio::test]
    async fn a_table_has_the_caches_of_the_task_that_opens_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let uri = folder.path().join("t.lance").display().to_string();
        let column: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("a", column)]).expect("a batch");
        let schema = batch.schema();
        Dataset::write(RecordBatchIterator::new([Ok(batch)], schema), uri.as_str(), None).await.expect("a table");
        let caches = Arc::new(TableCaches::new(&Options::default()));
        let task = SessionConfig::new().with_extension(caches.clone());
        let table = open(&uri, 1, &task).await.expect("a table");
        assert!(Arc::ptr_eq(&table.session(), &caches.0));
    }

    #[test]
    fn only_what_will_pass_is_tried_again() {
        let is_retried = |error| matches!(passing_as_io(error), DataFusionError::IoError(_));
        let of_store = |words: &str| DataFusionError::External(words.into());
        assert!(is_retried(of_store("Server returned non-2xx status code: 503 Service Unavailable: slow down")));
        assert!(is_retried(of_store("HTTP error: operation timed out")));
        assert!(is_retried(DataFusionError::External(Box::new(io::Error::from(io::ErrorKind::ConnectionReset)))));
        assert!(!is_retried(of_store("Server returned non-2xx status code: 403 Forbidden: who are you")));
        assert!(!is_retried(DataFusionError::External(Box::new(io::Error::from(io::ErrorKind::NotFound)))));
        assert!(!is_retried(exec_datafusion_err!("a cast failed")));
    }
}
