//! Copies of faces: let in where nothing is looked up, shown by no view, removed by maintenance, the first row stays.

use std::path::Path;

use marginalia_store::tables::faces::Face;
use marginalia_store::tables::sightings::Sighting;
use marginalia_store::{
    Care, Corpus, Dedup, Effort, Options, Session, SqlLimits, SqlRuntime, TableId, Timestamp, VerifyOptions,
    VerifyReport,
};

use crate::commits::{face, label};
use crate::slt::{cells, new_corpus};

async fn open(root: &Path, dedup: Dedup) -> Corpus {
    if !root.exists() {
        drop(new_corpus(root).await);
    }
    Corpus::open(root, Options { dedup, ..Options::default() }).await.unwrap()
}

/// A row of the face, as a stream brought it at some time.
fn row(image: &[u8], stream: &str, at: i64) -> Face {
    Face { stream: stream.to_owned(), ingested_at: Timestamp(at), ..face(image) }
}

fn sighting(of: &Face, source: &str) -> Sighting {
    Sighting {
        source: source.to_owned(),
        source_hash: None,
        r#box: None,
        size: 1,
        mtime: None,
        inode: None,
        face_id: Some(of.face_id.clone()),
        split: None,
        given_class: None,
        dataset: of.stream.clone(),
        seen_at: of.ingested_at,
    }
}

async fn append(corpus: &Corpus, rows: Vec<Face>) -> Vec<bool> {
    corpus.writer::<Face>().append(rows).await.unwrap().written
}

async fn rows(corpus: &Corpus) -> Vec<(String, i64)> {
    let faces = corpus.snapshot().await.unwrap().rows::<Face>(None).await.unwrap();
    let mut rows: Vec<(String, i64)> = faces.into_iter().map(|face| (face.stream, face.ingested_at.0)).collect();
    rows.sort();
    rows
}

/// Removes copies, however few came in; says how many there were.
async fn care(corpus: &Corpus) -> usize {
    corpus.care(Care { effort: Effort::Thorough, ..Care::default() }).await.unwrap().copies
}

async fn verify(corpus: &Corpus, repair: bool) -> VerifyReport {
    let options = VerifyOptions { repair, ..VerifyOptions::default() };
    corpus.verify(&SqlRuntime::new().unwrap(), options, &mut |_, _| {}).await.unwrap()
}

async fn ask(corpus: &Corpus, sql: &str) -> Vec<Vec<String>> {
    let runtime = SqlRuntime::new().unwrap();
    let session = Session::open(&runtime, corpus.snapshot().await.unwrap(), SqlLimits::default()).await.unwrap();
    session.query(sql).await.unwrap().collect().await.unwrap().iter().flat_map(cells).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_row_of_a_face_wins_and_the_others_go() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let (one, other) = (open(&root, Dedup::View).await, open(&root, Dedup::View).await);
    let hour = 3_600_000_000;
    // Twice in one commit is seen; in two, of one process or of two, it is not.
    assert_eq!(append(&one, vec![row(b"a", "late", 5 * hour), row(b"a", "late", 5 * hour)]).await, [true, false]);
    assert_eq!(append(&other, vec![row(b"a", "first", 2 * hour), row(b"b", "it's", 3 * hour)]).await, [true, true]);
    assert_eq!(append(&one, vec![row(b"a", "second", 2 * hour)]).await, [true]);
    let a = row(b"a", "first", 2 * hour);
    one.writer().append(vec![label(1, &a.face_id)]).await.unwrap();
    one.writer().append(vec![sighting(&a, "/a.png"), sighting(&row(b"a", "late", 5 * hour), "/z.png")]).await.unwrap();
    assert_eq!(rows(&one).await.len(), 4);

    let views = async || {
        assert_eq!(ask(&one, "select face_id, stream from provenance").await, [[a.face_id.clone(), "first".into()]]);
        assert_eq!(ask(&one, "select count(*) from unlabelled").await, [["1"]]);
        let arrived = "select stream, faces from ingest_rate where faces > 0 order by stream";
        assert_eq!(ask(&one, arrived).await, [["first", "1"], ["it's", "1"]]);
        let near = "select count(*), count(distinct face_id) from near_duplicates";
        assert_eq!(ask(&one, near).await, [["1", "1"]], "both have one hash, so one stands beside the other");
        assert_eq!(one.face(&a.face_id).await.unwrap(), a);
        assert_eq!(one.snapshot().await.unwrap().face_id(&a.face_id[..12]).await.unwrap(), a.face_id);
    };
    views().await;
    let verified = verify(&one, false).await;
    assert!(verified.is_clean(), "copies that may be there are no fault: {:?}", verified.findings);

    assert_eq!(care(&one).await, 2);
    assert_eq!(rows(&one).await, [("first".to_owned(), 2 * hour), ("it's".to_owned(), 3 * hour)]);
    views().await;
    assert_eq!(care(&one).await, 0);
    // A copy of a face that was looked at before.
    assert_eq!(append(&other, vec![row(b"b", "again", 9 * hour)]).await, [true]);
    assert_eq!(care(&one).await, 1);
    // And one that is earlier than what is there: its clock was behind, or its commit was held up.
    assert_eq!(append(&other, vec![row(b"b", "early", hour)]).await, [true]);
    assert_eq!(care(&one).await, 1);
    assert_eq!(rows(&one).await, [("early".to_owned(), hour), ("first".to_owned(), 2 * hour)]);
    // Looked up, they are known.
    let looking = open(&root, Dedup::Lookup).await;
    assert_eq!(
        append(&looking, vec![row(b"a", "x", 1), row(b"b", "x", 1), row(b"c", "x", 1)]).await,
        [false, false, true]
    );
    assert!(verify(&looking, false).await.is_clean());
    // Copies of a time when they were let in go all the same.
    assert_eq!(append(&other, vec![row(b"c", "again", 9 * hour)]).await, [true]);
    assert_eq!(care(&looking).await, 1);
    assert!(verify(&looking, false).await.is_clean());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_stream_that_came_three_times_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = open(&folder.path().join("c"), Dedup::View).await;
    for time in 0..3_i64 {
        let again = (0..1300_u32).map(|i| row(&i.to_le_bytes(), "camera", 1000 * time + i64::from(i % 7)));
        append(&corpus, again.collect()).await;
    }
    // Few faces came in since the last look: not worth one yet.
    let little = corpus.care(Care::default()).await.unwrap();
    assert_eq!((little.copies, rows(&corpus).await.len()), (0, 3900));
    assert_eq!(ask(&corpus, "select count(*), count(distinct face_id) from unlabelled").await, [["1300", "1300"]]);
    assert_eq!(care(&corpus).await, 2600);
    let left = rows(&corpus).await;
    assert_eq!(left.len(), 1300);
    assert!(left.iter().all(|(_, at)| *at < 7), "a later row stayed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_rows_that_are_alike_none_goes() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = open(&folder.path().join("c"), Dedup::View).await;
    for _ in 0..2 {
        append(&corpus, vec![row(b"a", "camera", 1)]).await;
    }
    append(&corpus, vec![row(b"a", "camera", 2)]).await;
    append(&corpus, vec![row(b"a", "camera", 2)]).await;
    care(&corpus).await;
    assert!(rows(&corpus).await.iter().all(|row| *row == ("camera".to_owned(), 1)));
    assert_eq!(corpus.snapshot().await.unwrap().count(TableId::Faces, None).await.unwrap(), 2);
    assert_eq!(ask(&corpus, "select count(*) from unlabelled").await, [["1"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_faces_are_looked_up_a_copy_is_a_finding_and_can_be_mended() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = open(&root, Dedup::View).await;
    for at in [3, 1, 2] {
        append(&corpus, vec![row(b"a", "camera", at), row(&[at as u8], "camera", at)]).await;
    }
    // A folder's faces are looked up unless it is said otherwise.
    let corpus = Corpus::open(&root, Options::default()).await.unwrap();
    let findings = verify(&corpus, false).await.findings;
    assert_eq!(findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["duplicate_face"]);
    let repaired = verify(&corpus, true).await;
    assert!(
        repaired.is_clean() && repaired.repaired.iter().any(|what| what.contains("duplicate_face")),
        "{repaired:?}"
    );
    let of_a: Vec<i64> = corpus
        .snapshot()
        .await
        .unwrap()
        .rows::<Face>(Some(&format!("face_id = '{}'", face(b"a").face_id)))
        .await
        .unwrap()
        .iter()
        .map(|face| face.ingested_at.0)
        .collect();
    assert_eq!(of_a, [1]);
    assert!(verify(&corpus, false).await.is_clean());
}
