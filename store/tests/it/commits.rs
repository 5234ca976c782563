//! Writers: what is acknowledged is stored, once, and a failed sync acknowledges nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use lance::Dataset;
use marginalia_store::log::{Change, LanceLog, Log};
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::labels::Label;
use marginalia_store::tables::sightings::Sighting;
use marginalia_store::{
    Care, Corpus, Effort, Error, FileKey, Options, SeenFiles, SqlRuntime, TableId, Timestamp, VerifyOptions,
};
use proptest::prelude::*;

use crate::slt::new_corpus;

/// A face whose id is the hash of its image.
pub fn face(image: &[u8]) -> Face {
    Face {
        face_id: blake3::hash(image).to_hex().to_string(),
        image: image.to_vec(),
        format: "png".into(),
        width: 1,
        height: 1,
        stream: "test".into(),
        subject: None,
        perceptual_hash: 7,
        captured_at: None,
        ingested_at: Timestamp(1),
    }
}

/// A label as a person gives it.
pub fn label(id: u32, face_id: &str) -> Label {
    Label {
        label_id: format!("00000000-0000-7000-8000-{id:012}"),
        face_id: face_id.to_owned(),
        expression: Some("neutral".into()),
        verdict: None,
        votes: None,
        annotator: "ada".into(),
        origin: "human".into(),
        lane: "cli".into(),
        round: None,
        suggestion: None,
        source: None,
        note: None,
        request_key: None,
        request_hash: None,
        seconds: None,
        created_at: Timestamp(i64::from(id)),
        retracts: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_commits_and_each_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = new_corpus(&folder.path().join("c")).await;
    let before = corpus.snapshot().await.unwrap().versions()[&TableId::Labels];
    let tasks: Vec<_> = (0..64)
        .map(|i| {
            let writer = corpus.writer::<Label>();
            tokio::spawn(async move { writer.append(vec![label(i, "a")]).await.unwrap().version })
        })
        .collect();
    let mut newest = 0;
    for task in tasks {
        newest = newest.max(task.await.unwrap());
    }
    let snapshot = corpus.snapshot().await.unwrap();
    assert_eq!(snapshot.count(TableId::Labels, None).await.unwrap(), 64);
    assert_eq!(snapshot.versions()[&TableId::Labels], newest);
    assert!(newest - before < 64, "64 appends made {} versions: nothing was gathered", newest - before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_face_is_not_stored_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = new_corpus(&root).await;
    let images: Vec<Vec<u8>> = (0..50_u8).map(|i| vec![i; 20]).collect();
    let rows = || images.iter().map(|image| face(image)).collect::<Vec<_>>();
    let first = corpus.writer::<Face>().append(rows()).await.unwrap();
    assert!(first.written.iter().all(|written| *written));
    let second = corpus.writer::<Face>().append(rows()).await.unwrap();
    assert!(second.written.iter().all(|written| !*written));
    // Twice in one batch, and from another handle, as another process would come.
    let other = Corpus::open(&root, Options::default()).await.unwrap();
    let mixed = vec![face(b"new"), face(b"new"), face(&images[3])];
    assert_eq!(other.writer::<Face>().append(mixed).await.unwrap().written, [true, false, false]);
    assert_eq!(corpus.writer::<Face>().append(vec![face(b"new")]).await.unwrap().written, [false]);
    // Compaction changes every fragment, and an index answers the look-ups from then on.
    corpus.care(Care { effort: Effort::Thorough, ..Care::default() }).await.unwrap();
    assert!(corpus.writer::<Face>().append(rows()).await.unwrap().written.iter().all(|written| !*written));
    assert_eq!(corpus.snapshot().await.unwrap().count(TableId::Faces, None).await.unwrap(), 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_at_once_store_a_face_once() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpora = [new_corpus(&root).await, Corpus::open(&root, Options::default()).await.unwrap()];
    let mut tasks = Vec::new();
    for round in 0..8_u8 {
        for corpus in &corpora {
            let writer = corpus.writer::<Face>();
            let rows: Vec<Face> = (0..20_u8).map(|i| face(&[round / 2, i])).collect();
            tasks.push(tokio::spawn(async move { writer.append(rows).await.unwrap() }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let snapshot = corpora[0].snapshot().await.unwrap();
    assert_eq!(snapshot.count(TableId::Faces, None).await.unwrap(), 80);
    let report =
        corpora[0].verify(&SqlRuntime::new().unwrap(), VerifyOptions::default(), &mut |_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

/// What another process has read, kept for it or not, is old once somebody else has committed, be what came in between there
/// or cleaned up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_always_finds_the_newest_version() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let (one, other) = (new_corpus(&root).await, Corpus::open(&root, Options::default()).await.unwrap());
    let count =
        async |corpus: &Corpus| corpus.snapshot().await.unwrap().count(TableId::Labels, None).await.unwrap() as u32;
    let mut stored = 0;
    for turn in 0..12 {
        if turn % 3 == 0 {
            let read = other.snapshot().await.unwrap().versions();
            other.hold("an export", &read).await.unwrap();
        }
        for _ in 0..=turn % 3 {
            one.writer::<Label>().append(vec![label(stored, "a")]).await.unwrap();
            stored += 1;
        }
        if turn % 2 == 0 {
            let clean_up = Some(std::time::Duration::ZERO);
            one.care(Care { clean_up, effort: if turn % 4 == 0 { Effort::Thorough } else { Effort::Usual } })
                .await
                .unwrap();
        }
        assert_eq!((count(&other).await, count(&one).await), (stored, stored), "turn {turn}");
        other.writer::<Label>().append(vec![label(stored, "a")]).await.unwrap();
        stored += 1;
        assert_eq!((count(&one).await, count(&other).await), (stored, stored), "turn {turn}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_piles_up_is_put_together_before_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = new_corpus(&folder.path().join("c")).await;
    for i in 0..20_u8 {
        corpus.writer::<Face>().append(vec![face(&[i])]).await.unwrap();
    }
    assert!(!corpus.is_crowded().await.unwrap());
    for i in 0..70 {
        corpus.writer().append(vec![label(i, "a")]).await.unwrap();
    }
    assert!(corpus.is_crowded().await.unwrap());
    let hasty = Care { effort: Effort::Hasty, ..Care::default() };
    assert_eq!(corpus.care(hasty).await.unwrap().compacted, [TableId::Labels], "the faces wait for their turn");
    assert!(!corpus.is_crowded().await.unwrap());
    assert!(corpus.care(hasty).await.unwrap().compacted.is_empty());
    assert_eq!(corpus.snapshot().await.unwrap().count(TableId::Labels, None).await.unwrap(), 70);
    assert_eq!(corpus.care(Care::default()).await.unwrap().compacted, [TableId::Faces]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seen_files_are_known_by_path_size_time_and_inode() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = new_corpus(&folder.path().join("c")).await;
    let key = FileKey { source: "/a'b/c.png".into(), size: 3, mtime: Some(Timestamp(5)), inode: Some(9) };
    let mut seen = SeenFiles::new(&corpus);
    assert_eq!(seen.seen(std::slice::from_ref(&key)).await.unwrap(), [false]);
    let row = Sighting {
        source: key.source.clone(),
        source_hash: None,
        r#box: None,
        size: 3,
        mtime: Some(Timestamp(5)),
        inode: Some(9),
        face_id: None,
        split: None,
        given_class: None,
        dataset: "test".into(),
        seen_at: Timestamp(6),
    };
    corpus.writer::<Sighting>().append(vec![row]).await.unwrap();
    let changed = FileKey { mtime: Some(Timestamp(6)), ..key.clone() };
    let moved = FileKey { source: "/d.png".into(), ..key.clone() };
    assert_eq!(seen.seen(&[key, changed, moved]).await.unwrap(), [true, false, false]);
}

/// A log over the real one whose syncs fail once told to.
struct FailingSync {
    inner: Arc<dyn Log>,
    fails: AtomicBool,
}

#[async_trait]
impl Log for FailingSync {
    async fn commit(&self, table: TableId, change: Change) -> marginalia_store::Result<u64> {
        let version = self.inner.commit(table, change).await?;
        if self.fails.load(Ordering::Relaxed) {
            return Err(Error::Sync { path: "/disk".into(), source: std::io::Error::other("EIO") });
        }
        Ok(version)
    }
    async fn latest(&self, table: TableId) -> marginalia_store::Result<Arc<Dataset>> {
        self.inner.latest(table).await
    }
    fn now(&self) -> Timestamp {
        self.inner.now()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_acknowledges_nobody_and_ends_writing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let home = new_corpus(&root).await.home().clone();
    let real: Arc<dyn Log> = Arc::new(LanceLog::new(home.clone(), Arc::default(), true));
    let log = Arc::new(FailingSync { inner: real, fails: AtomicBool::new(false) });
    let corpus = Corpus::open_over(home, Options::default(), log.clone()).await.unwrap();
    let writer = corpus.writer::<Label>();
    writer.append(vec![label(1, "a")]).await.unwrap();
    log.fails.store(true, Ordering::Relaxed);
    let refused = writer.append(vec![label(2, "a")]).await.unwrap_err();
    assert!(refused.to_string().contains("nothing of this commit was acknowledged"), "{refused}");
    // The disk looks well again, but what the kernel kept is unknown: this process writes no more.
    log.fails.store(false, Ordering::Relaxed);
    let stopped = writer.append(vec![label(3, "a")]).await.unwrap_err();
    assert!(matches!(stopped, Error::WriterStopped(TableId::Labels)), "{stopped}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// However appends are cut into batches and whatever repeats, the table holds each distinct face once.
    #[test]
    fn distinct_faces_are_stored_once(batches in prop::collection::vec(prop::collection::vec(0_u8..40, 1..12), 1..6)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let corpus = new_corpus(&folder.path().join("c")).await;
            let mut written = 0;
            for batch in &batches {
                let rows = batch.iter().map(|i| face(&[*i])).collect();
                let acknowledged = corpus.writer::<Face>().append(rows).await.unwrap();
                written += acknowledged.written.iter().filter(|written| **written).count();
            }
            let distinct: std::collections::BTreeSet<u8> = batches.iter().flatten().copied().collect();
            assert_eq!(written, distinct.len());
            let stored = corpus.snapshot().await.unwrap().count(TableId::Faces, None).await.unwrap();
            assert_eq!(stored, distinct.len() as u64);
        });
    }
}
