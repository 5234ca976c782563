//! A small corpus that the texts are asked of, made once per process.

use std::sync::OnceLock;
use std::time::Duration;

use marginalia_store::{Corpus, Options, Session, SqlLimits, SqlRuntime, Versions};

/// A corpus, a session on it, and the versions of its tables when it was made.
pub struct Table {
    runtime: tokio::runtime::Runtime,
    corpus: Corpus,
    session: Session,
    versions: Versions,
}

impl Table {
    /// The process's own.
    pub fn shared() -> &'static Self {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(Self::make)
    }

    fn make() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder").keep();
        let classes = ["neutral", "happiness", "sadness"].map(str::to_owned);
        let limits = SqlLimits { memory_bytes: 64 << 20, timeout: Duration::from_secs(5), ..SqlLimits::default() };
        let (corpus, session, versions) = runtime.block_on(async {
            let corpus = Corpus::init(&folder, &classes, Options::default()).await.expect("a corpus");
            let snapshot = corpus.snapshot().await.expect("a snapshot");
            let versions = snapshot.versions();
            let sql = SqlRuntime::new().expect("an engine");
            (corpus, Session::open(&sql, snapshot, limits).await.expect("a session"), versions)
        });
        Self { runtime, corpus, session, versions }
    }

    /// Waits for the work.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Nothing was written, and the next question is answered.
    pub fn assert_unchanged(&self) {
        let now = self.run(self.corpus.snapshot()).expect("a snapshot").versions();
        assert_eq!(now, self.versions, "a query wrote something");
    }
}
