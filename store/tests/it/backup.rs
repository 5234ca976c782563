//! Backups: a copy opens by itself, is brought up to date, and becomes a corpus again.

use std::path::Path;

use marginalia_store::tables::labels::Label;
use marginalia_store::{Corpus, Error, Options, RoundWriter, SqlRuntime, TableId, restore};

use crate::commits::{face, label};
use crate::rounds;
use crate::slt::new_corpus;

async fn labels(root: &Path) -> Vec<Label> {
    let corpus = Corpus::open(root, Options::default()).await.unwrap();
    let mut rows = corpus.snapshot().await.unwrap().rows::<Label>(None).await.unwrap();
    rows.sort_by(|a, b| a.label_id.cmp(&b.label_id));
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_brought_up_to_date_and_restored() {
    let sql = SqlRuntime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (root, copy, new) = (folder.path().join("c"), folder.path().join("backup"), folder.path().join("new"));
    let corpus = new_corpus(&root).await;
    std::fs::write(root.join("marginalia.toml"), "# settings").unwrap();
    corpus.writer().append(vec![face(b"a"), face(b"b"), face(b"c")]).await.unwrap();
    let writer = RoundWriter::begin(&corpus, rounds::plan()).await.unwrap();
    rounds::write(writer, true).await.unwrap();
    corpus.writer().append(vec![label(1, &face(b"a").face_id)]).await.unwrap();
    let first = corpus.backup(&copy, &sql).await.unwrap();
    assert_eq!((first.verified, first.kept, first.rounds.as_slice()), (3, 0, [1].as_slice()));
    corpus.writer().append(vec![label(2, &face(b"b").face_id)]).await.unwrap();
    let second = corpus.backup(&copy, &sql).await.unwrap();
    // A data file, its manifest, and no more.
    assert!(second.copied <= 3 && second.kept > 20, "{second:?}");
    assert!(second.removed >= 1, "what the older version alone named is still there: {second:?}");
    assert_eq!(labels(&copy).await, labels(&root).await);
    restore(&copy, &new, &sql).await.unwrap();
    assert_eq!(labels(&new).await, labels(&root).await);
    assert_eq!(std::fs::read_to_string(new.join("marginalia.toml")).unwrap(), "# settings");
    // It is a corpus like any other: looked back at, written to.
    let restored = Corpus::open(&new, Options::default()).await.unwrap();
    let then = restored.snapshot_at_round(1).await.unwrap();
    assert_eq!(then.count(TableId::Labels, None).await.unwrap(), 0);
    restored.writer().append(vec![label(3, &face(b"c").face_id)]).await.unwrap();
    assert_eq!(labels(&new).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_never_overwrites_anything_else() {
    let sql = SqlRuntime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = new_corpus(&root).await;
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("thesis.txt"), "mine").unwrap();
    for to in [&other, &root, &root.join("tables/faces.lance")] {
        let refused = corpus.backup(to, &sql).await.unwrap_err();
        assert!(matches!(refused, Error::NotABackup { .. }), "{refused}");
    }
    assert_eq!(std::fs::read_to_string(other.join("thesis.txt")).unwrap(), "mine");
    let copy = folder.path().join("copy");
    corpus.backup(&copy, &sql).await.unwrap();
    let refused = restore(&copy, &other, &sql).await.unwrap_err();
    assert!(matches!(refused, Error::NotEmpty { .. }), "{refused}");
    let refused = restore(&other, &folder.path().join("new"), &sql).await.unwrap_err();
    assert!(matches!(refused, Error::NotABackup { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_changed_on_disk_is_found() {
    let sql = SqlRuntime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (root, copy) = (folder.path().join("c"), folder.path().join("backup"));
    let corpus = new_corpus(&root).await;
    let image: Vec<u8> = (0..200_u32).flat_map(|i| blake3::hash(&i.to_le_bytes()).as_bytes().to_vec()).collect();
    corpus.writer().append(vec![face(&image)]).await.unwrap();
    corpus.backup(&copy, &sql).await.unwrap();
    let data = std::fs::read_dir(copy.join("tables/faces.lance/data")).unwrap().next().unwrap().unwrap().path();
    let modified = std::fs::metadata(&data).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&data).unwrap();
    let at = bytes.windows(16).position(|window| window == &image[3000..3016]).expect("the image, as it came");
    bytes[at] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    std::fs::File::options().write(true).open(&data).unwrap().set_modified(modified).unwrap();
    let found = corpus.backup(&copy, &sql).await.unwrap_err();
    assert!(matches!(found, Error::BackupDiffers { .. }), "{found}");
    assert!(found.to_string().contains("changed on disk"), "{found}");
    let refused = restore(&copy, &folder.path().join("new"), &sql).await.unwrap_err();
    assert!(matches!(refused, Error::NotABackup { .. }), "a broken copy was restored: {refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backup_of_another_corpus_is_left_alone() {
    let sql = SqlRuntime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("backup");
    let one = new_corpus(&folder.path().join("one")).await;
    one.writer().append(vec![face(b"a")]).await.unwrap();
    one.backup(&copy, &sql).await.unwrap();
    let two = new_corpus(&folder.path().join("two")).await;
    for is_finished in [true, false] {
        let refused = two.backup(&copy, &sql).await.unwrap_err();
        assert!(matches!(refused, Error::AnotherBackup { .. }), "{refused}");
        let before = Corpus::open(&copy, Options::default()).await.unwrap().snapshot().await.unwrap();
        assert_eq!(before.count(TableId::Faces, None).await.unwrap(), 1);
        if is_finished {
            // As a backup leaves it that was killed.
            std::fs::rename(copy.join("backup.json"), folder.path().join("record")).unwrap();
            let record = std::fs::read(folder.path().join("record")).unwrap();
            let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
            std::fs::write(copy.join("backup.json.unfinished"), record["corpus"].as_str().unwrap()).unwrap();
        }
    }
    // The same corpus is known wherever it lies.
    drop(one);
    std::fs::rename(folder.path().join("one"), folder.path().join("moved")).unwrap();
    let moved = Corpus::open(&folder.path().join("moved"), Options::default()).await.unwrap();
    assert_eq!(moved.backup(&copy, &sql).await.unwrap().verified, 1);
}
