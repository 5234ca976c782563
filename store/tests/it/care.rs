//! Care of tables that are being written: it comes to its turn, keeps nobody waiting without need, and loses nothing.
//!
//! Each handle on a corpus has locks of its own, as another process has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use marginalia_store::locks::{Lock, Purpose};
use marginalia_store::log::Change;
use marginalia_store::tables::labels::Label;
use marginalia_store::{Care, Corpus, Effort, Options, TableId, Writer};

use crate::commits::label;
use crate::slt::new_corpus;

/// Far longer than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

/// Commits during which a pass has to end. Most of those that it sees are made while it reads the fragments.
const COMMITS: u64 = 500;

/// Four processes, each with the next label ready when a commit ends: one of them holds the writers' lock at any time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hasty_pass_ends_while_writers_never_pause() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = new_corpus(&root).await;
    let mut expected = Vec::new();
    for id in 0..70 {
        expected.push(label(id, "a").label_id);
        corpus.writer().append(vec![label(id, "a")]).await.unwrap();
    }
    let version = async || corpus.log().latest(TableId::Labels).await.unwrap().version().version;
    let (begun, ended) = (version().await, Arc::new(AtomicBool::new(false)));
    let mut writing = Vec::new();
    for process in 1..=4 {
        let options = Options { sync: false, ..Options::default() };
        let writer = Corpus::open(&root, options).await.unwrap().writer::<Label>();
        for task in 0..2 {
            let first = 1_000_000 * process + 100_000 * task;
            writing.push(tokio::spawn(append(writer.clone(), first, begun + COMMITS, ended.clone())));
        }
    }
    while version().await < begun + 8 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let report = corpus.care(Care { effort: Effort::Hasty, ..Care::default() }).await.unwrap();
    let made = version().await - begun;
    ended.store(true, Ordering::Relaxed);
    for task in writing {
        expected.extend(task.await.unwrap());
    }
    println!("{made} commits until the pass was over");
    assert!(made < COMMITS, "the pass did not end before the writers did");
    assert_eq!(report.compacted, [TableId::Labels]);
    let rows = corpus.snapshot().await.unwrap().rows::<Label>(None).await.unwrap();
    let mut stored: Vec<String> = rows.into_iter().map(|row| row.label_id).collect();
    stored.sort();
    expected.sort();
    assert!(stored == expected, "{} labels were acknowledged, {} are stored", expected.len(), stored.len());
}

/// Appends labels one by one, from number `first`, until the pass is over or the table at version `last`; their ids.
async fn append(writer: Writer<Label>, first: u32, last: u64, ended: Arc<AtomicBool>) -> Vec<String> {
    let mut ids = Vec::new();
    for id in first.. {
        let row = label(id, "a");
        ids.push(row.label_id.clone());
        let version = writer.append(vec![row]).await.unwrap().version;
        if version >= last || ended.load(Ordering::Relaxed) {
            break;
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_before_writers_goes_before_those_that_come_next() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let writing = Lock::writer(root).await.unwrap();
    // It gives up where a writer takes its time.
    assert!(Lock::before_writers(root, Duration::ZERO).await.unwrap().is_none());
    let here = root.to_owned();
    let soon = tokio::spawn(async move { Lock::before_writers(&here, HANG).await });
    let asked = Instant::now();
    while Lock::try_exclusive(root, Purpose::Turn).is_ok() {
        assert!(asked.elapsed() < HANG, "it lets all others go first");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let next: Vec<_> = (0..4)
        .map(|_| {
            let here = root.to_owned();
            tokio::spawn(async move { Lock::writer(&here).await })
        })
        .collect();
    drop(writing);
    // Any of the others that had come before it would still hold its lock.
    let alone = soon.await.unwrap().unwrap().expect("a turn before the others");
    drop(alone);
    for writer in next {
        writer.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clean_up_waits_for_writers_only_where_young_versions_go() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = new_corpus(&folder.path().join("c")).await;
    for id in 0..4 {
        corpus.writer().append(vec![label(id, "a")]).await.unwrap();
    }
    let clean_up = |seconds| {
        let (log, older_than) = (corpus.log().clone(), Duration::from_secs(seconds));
        async move { log.commit(TableId::Labels, Change::CleanUp { older_than }).await }
    };
    let versions = async || corpus.log().latest(TableId::Labels).await.unwrap().count_versions().await.unwrap();
    let stood = versions().await;
    // As every commit does while it is under way.
    let writing = Lock::writer(corpus.path()).await.unwrap();
    let young = [0, 599].map(|seconds| tokio::spawn(clean_up(seconds)));
    for seconds in [600, 86_400] {
        let settled = tokio::time::timeout(HANG, clean_up(seconds)).await;
        settled.expect("it waits for the writer").unwrap();
    }
    assert!(young.iter().all(|waiting| !waiting.is_finished()), "it does not wait for the writer");
    assert_eq!(versions().await, stood);
    drop(writing);
    for waiting in young {
        waiting.await.unwrap().unwrap();
    }
    assert!(versions().await < stood);
}
