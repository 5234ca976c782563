//! Looking back: the tables as they were at a time, and what is said when that is gone.

use std::time::Duration;

use marginalia_store::{Care, Corpus, Effort, Error, Moment, RoundWriter, TableId, Timestamp};

use crate::commits::{face, label};
use crate::rounds::{plan, write};
use crate::slt::new_corpus;

/// A moment that no commit has part in.
async fn between() -> Timestamp {
    tokio::time::sleep(Duration::from_millis(20)).await;
    let now = Timestamp::now();
    tokio::time::sleep(Duration::from_millis(20)).await;
    now
}

async fn counted(corpus: &Corpus, time: Timestamp) -> (u64, u64, Option<u32>) {
    let snapshot = corpus.snapshot_of(Moment::Time(time)).await.unwrap();
    let faces = snapshot.count(TableId::Faces, None).await.unwrap();
    (faces, snapshot.count(TableId::Labels, None).await.unwrap(), snapshot.current_round())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_moment_is_there_until_it_is_cleaned_up() {
    let folder = tempfile::tempdir().unwrap();
    let before = between().await;
    let corpus = new_corpus(&folder.path().join("c")).await;
    let empty = between().await;
    corpus.writer().append(vec![face(b"a"), face(b"b"), face(b"c")]).await.unwrap();
    let faces = between().await;
    corpus.writer().append(vec![label(1, &face(b"a").face_id)]).await.unwrap();
    let labelled = between().await;
    write(RoundWriter::begin(&corpus, plan()).await.unwrap(), true).await.unwrap();
    let trained = between().await;
    corpus.writer().append(vec![label(2, &face(b"b").face_id)]).await.unwrap();
    let again = between().await;
    corpus.writer().append(vec![label(3, &face(b"c").face_id)]).await.unwrap();
    let found = [empty, faces, labelled, trained, again, between().await];
    let mut states = Vec::new();
    for time in found {
        states.push(counted(&corpus, time).await);
    }
    let expected = [(0, 0, None), (3, 0, None), (3, 1, None), (3, 1, Some(1)), (3, 2, Some(1)), (3, 3, Some(1))];
    assert_eq!(states, expected);
    let never = corpus.snapshot_of(Moment::Time(before)).await.err().unwrap();
    assert!(matches!(never, Error::TimeNotKept { .. }), "{never}");

    corpus.care(Care { clean_up: Some(Duration::ZERO), effort: Effort::Thorough }).await.unwrap();
    // What the round pinned is still there as it was at its end; what came between and was replaced is not.
    let gone = corpus.snapshot_of(Moment::Time(again)).await.err().unwrap().to_string();
    assert!(gone.contains("round 1 (") && gone.contains("--at-round 1") && gone.contains("any time from "), "{gone}");
    assert_eq!(counted(&corpus, between().await).await, (3, 3, Some(1)));
    let round = corpus.snapshot_of(Moment::Round(1)).await.unwrap();
    assert_eq!(round.count(TableId::Labels, None).await.unwrap(), 1);
}
