//! A clock that jumps must not make clean-up take what is young.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lance::Dataset;
use marginalia_store::log::{Change, LanceLog, Log};
use marginalia_store::{Care, Corpus, Options, Result, TableId, Timestamp};

use crate::commits::label;
use crate::slt::new_corpus;

/// The real log with another clock.
struct Shifted {
    inner: LanceLog,
    micros: AtomicI64,
}

#[async_trait]
impl Log for Shifted {
    async fn commit(&self, table: TableId, change: Change) -> Result<u64> {
        self.inner.commit(table, change).await
    }
    async fn latest(&self, table: TableId) -> Result<Arc<Dataset>> {
        self.inner.latest(table).await
    }
    fn now(&self) -> Timestamp {
        Timestamp(self.inner.now().0 + self.micros.load(Ordering::Relaxed))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clean_up_waits_while_the_clock_cannot_be_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let home = new_corpus(&root).await.home().clone();
    let month = 30 * 86_400 * 1_000_000;
    for jump in [month, -month] {
        let inner = LanceLog::new(home.clone(), Arc::default(), true);
        let log = Arc::new(Shifted { inner, micros: AtomicI64::new(0) });
        let corpus = Corpus::open_over(home.clone(), Options::default(), log.clone()).await.unwrap();
        for i in 0..4 {
            corpus.writer().append(vec![label(i, "a")]).await.unwrap();
        }
        let versions = async || corpus.log().latest(TableId::Labels).await.unwrap().count_versions().await.unwrap();
        let care = Care { clean_up: Some(Duration::ZERO), ..Care::default() };
        let stood = versions().await;
        log.micros.store(jump, Ordering::Relaxed);
        let report = corpus.care(care).await.unwrap();
        assert!(report.not_cleaned.is_some(), "cleaned up although the clock jumped by {jump}");
        assert_eq!((report.cleaned.len(), versions().await), (0, stood));
        // The control: put right, the same call removes them.
        log.micros.store(0, Ordering::Relaxed);
        corpus.care(care).await.unwrap();
        let report = corpus.care(care).await.unwrap();
        assert_eq!(report.not_cleaned, None);
        assert!(versions().await < stood);
    }
}
