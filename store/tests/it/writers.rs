//! Who writes to a corpus is known to whoever asks, as long as they do.

use std::time::{Duration, Instant};

use marginalia_store::tables::faces::Face;
use marginalia_store::{Corpus, Options, WritingProcess};

use crate::commits::face;
use crate::slt::new_corpus;

/// Far longer than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

async fn until(corpus: &Corpus, there: impl Fn(&[WritingProcess]) -> bool) -> Vec<WritingProcess> {
    let asked = Instant::now();
    loop {
        let writers = corpus.writing_processes().await.unwrap();
        if there(&writers) {
            return writers;
        }
        assert!(asked.elapsed() < HANG, "{writers:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_among_those_that_write_until_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = new_corpus(&root).await;
    assert!(corpus.writing_processes().await.unwrap().is_empty());
    corpus.writer::<Face>().append(vec![face(b"a"), face(b"b")]).await.unwrap();
    corpus.writer::<Face>().append(vec![face(b"a")]).await.unwrap();
    let announced = corpus.announce("ingest");
    let asking = Corpus::open(&root, Options::default()).await.unwrap();
    let writers = until(&asking, |writers| !writers.is_empty()).await;
    let [writer] = writers.as_slice() else { panic!("{writers:?}") };
    assert_eq!((writer.process, writer.work.as_str()), (std::process::id(), "ingest"));
    assert!(!writer.host.is_empty() && writer.last_commit_at.is_some(), "{writer:?}");
    // What was known already made no commit.
    assert_eq!((writer.faces, writer.commits, writer.conflicts), (2, 1, 0));
    let second = asking.announce("serve");
    until(&corpus, |writers| writers.len() == 2).await;
    second.leave().await;
    announced.leave().await;
    until(&asking, |writers| writers.is_empty()).await;
}

/// What nobody can read is not shown, and keeps nobody from seeing the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_of_another_version_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = new_corpus(&folder.path().join("c")).await;
    let writers = corpus.path().join("locks/writers");
    std::fs::create_dir_all(&writers).unwrap();
    std::fs::write(writers.join("elsewhere-1-00000000.json"), "{\"host\": 7}").unwrap();
    let announced = corpus.announce("run");
    let there = until(&corpus, |writers| !writers.is_empty()).await;
    assert_eq!(there.iter().map(|writer| writer.work.as_str()).collect::<Vec<_>>(), ["run"]);
    announced.leave().await;
}
