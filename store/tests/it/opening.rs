//! Opening: what is refused, with which words, and that a corpus of every older schema version opens.

use std::path::{Path, PathBuf};

use marginalia_store::tables::epochs::Epoch;
use marginalia_store::tables::labels::Label;
use marginalia_store::{Corpus, Error, Options, Session, SqlLimits, SqlRuntime, TableId, VerifyOptions};
use serde_json::json;

use crate::commits::{face, label};
use crate::slt::{CLASSES, insert, new_corpus};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_and_open_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let missing = Corpus::open(&root, Options::default()).await.err().unwrap();
    assert!(missing.to_string().contains("marginalia init"), "{missing}");
    drop(new_corpus(&root).await);
    let classes = CLASSES.map(str::to_owned);
    let again = Corpus::init(&root, &classes, Options::default()).await.err().unwrap();
    assert!(matches!(again, Error::CorpusExists { .. }), "{again}");
    let foreign = Corpus::init(Path::new("gs://bucket/c"), &classes, Options::default()).await.err().unwrap();
    assert!(matches!(foreign, Error::UnsupportedScheme { .. }), "{foreign}");
    assert!(!Path::new("gs:").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_face_is_named_by_the_beginning_of_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = new_corpus(&folder.path().join("c")).await;
    let row = face(b"a");
    corpus.writer().append(vec![row.clone()]).await.unwrap();
    let snapshot = corpus.snapshot().await.unwrap();
    assert_eq!(snapshot.face_id(&row.face_id[..6]).await.unwrap(), row.face_id);
    assert_eq!(snapshot.face_id(&row.face_id.to_uppercase()).await.unwrap(), row.face_id);
    for bad in ["", "zz", "' or 1=1", "0000000000000000"] {
        assert!(matches!(snapshot.face_id(bad).await, Err(Error::NoSuchFace { .. })), "{bad}");
    }
}

fn stored_corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora")
}

/// Copies a stored corpus: the repository's own is not to be written to.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// `tests/corpora/vN` was written by a build of schema version N and is never written again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corpora_of_every_schema_version_open() {
    let sql = SqlRuntime::new().unwrap();
    for version in 1..=marginalia_store::SCHEMA_VERSION {
        let stored = stored_corpora().join(format!("v{version}"));
        assert!(stored.is_dir(), "no stored corpus of schema version {version}");
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("c");
        copy(&stored, &root);
        let corpus = Corpus::open(&root, Options::default()).await.unwrap();
        assert_eq!(corpus.classes(), CLASSES);
        let snapshot = corpus.snapshot().await.unwrap();
        assert_eq!(snapshot.count(TableId::Faces, None).await.unwrap(), 3);
        let labels = snapshot.rows::<Label>(None).await.unwrap();
        assert_eq!(labels.len(), 1);
        let report = corpus.verify(&sql, VerifyOptions::default(), &mut |_, _| {}).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
        // It can be written to, and read at once.
        corpus.writer().append(vec![label(2, &labels[0].face_id)]).await.unwrap();
        let session = Session::open(&sql, corpus.snapshot().await.unwrap(), SqlLimits::default()).await.unwrap();
        session.query("select * from corpus").await.unwrap().collect().await.unwrap();
        // Columns that came later answer with null, and take values from the first row on.
        session.query("select temperature from epochs").await.unwrap().collect().await.unwrap();
        insert(&corpus, "epochs", vec![json!({ "round": 1, "epoch": 1, "temperature": 1.5 })]).await;
        let epochs = corpus.snapshot().await.unwrap().rows::<Epoch>(None).await.unwrap();
        assert_eq!(epochs.iter().map(|epoch| epoch.temperature).collect::<Vec<_>>(), [Some(1.5)]);
    }
}

/// Writes the stored corpus of the current schema version, once, when the version is raised, with
/// `MARGINALIA_WRITE_STORED_CORPUS=1` set.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stored_corpus_is_written_on_request_only() {
    if std::env::var_os("MARGINALIA_WRITE_STORED_CORPUS").is_none() {
        return;
    }
    let root = stored_corpora().join(format!("v{}", marginalia_store::SCHEMA_VERSION));
    assert!(!root.exists(), "{} is there already and must never change", root.display());
    let corpus = Corpus::init(&root, &CLASSES.map(str::to_owned), Options::default()).await.unwrap();
    let faces = vec![face(b"a"), face(b"b"), face(b"c")];
    let first = faces[0].face_id.clone();
    corpus.writer().append(faces).await.unwrap();
    corpus.writer().append(vec![label(1, &first)]).await.unwrap();
}
