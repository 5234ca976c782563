//! Every state that a crash may leave: the files of one append, each absent, empty, cut in half, whole or full of zeros.

use std::path::{Path, PathBuf};

use marginalia_store::tables::labels::Label;
use marginalia_store::{Corpus, Error, Home, Options, SqlRuntime, TableId, VerifyOptions};

use super::copy;
use crate::commits::{face, label};
use crate::slt::new_corpus;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Absent,
    Empty,
    Half,
    Zeros,
    Whole,
}

const ALL: [Left; 5] = [Left::Absent, Left::Empty, Left::Half, Left::Zeros, Left::Whole];

/// Files of a table, relative to it.
fn files(table: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["data", "_transactions", "_versions"] {
        let entries = std::fs::read_dir(table.join(folder)).unwrap();
        found.extend(entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name())));
    }
    found.sort();
    found
}

fn lay(left: Left, whole: &[u8], path: &Path) {
    let bytes = match left {
        Left::Absent => return,
        Left::Empty => Vec::new(),
        Left::Half => whole[..whole.len() / 2].to_vec(),
        Left::Zeros => vec![0; whole.len()],
        Left::Whole => whole.to_vec(),
    };
    std::fs::write(path, bytes).unwrap();
}

async fn labels(root: &Path) -> Result<Vec<String>, String> {
    let corpus = Corpus::open(root, Options::default()).await.map_err(|error| error.to_string())?;
    let snapshot = corpus.snapshot().await.map_err(|error| error.to_string())?;
    let rows = snapshot.rows::<Label>(None).await.map_err(|error| error.to_string())?;
    let mut ids: Vec<String> = rows.into_iter().map(|row| row.label_id).collect();
    ids.sort();
    Ok(ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_crash_of_an_append_every_old_row_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (base, full, work) = (folder.path().join("base"), folder.path().join("full"), folder.path().join("work"));
    let corpus = new_corpus(&base).await;
    corpus.writer().append(vec![face(b"a")]).await.unwrap();
    for i in 0..3 {
        corpus.writer().append(vec![label(i, &face(b"a").face_id)]).await.unwrap();
    }
    drop(corpus);
    copy(&base, &full);
    let corpus = Corpus::open(&full, Options::default()).await.unwrap();
    corpus.writer().append(vec![label(3, &face(b"a").face_id)]).await.unwrap();
    drop(corpus);
    let old = labels(&base).await.unwrap();
    let new = labels(&full).await.unwrap();
    let table = |root: &Path| root.join("tables/labels.lance");
    let before = files(&table(&base));
    let mut added: Vec<PathBuf> = files(&table(&full)).into_iter().filter(|file| !before.contains(file)).collect();
    assert_eq!(added.len(), 3, "{added:?}");
    // The name a manifest is written under before it gets its own: a crash may leave it in any state, too.
    let manifest = added.iter().find(|file| file.starts_with("_versions")).unwrap();
    let staging = PathBuf::from(format!("{}.manifest.staging-0123456789abcdef", manifest.display()));
    std::fs::copy(table(&full).join(manifest), table(&full).join(&staging)).unwrap();
    added.push(staging.clone());
    let is_needed = |file: &Path| !file.starts_with("_transactions") && file != staging;
    let (mut fell_back, mut kept) = (0, 0);
    for state in 0..ALL.len().pow(added.len() as u32) {
        copy(&base, &work);
        let lefts: Vec<Left> = (0..added.len()).map(|i| ALL[state / ALL.len().pow(i as u32) % ALL.len()]).collect();
        for (file, left) in added.iter().zip(&lefts) {
            lay(*left, &std::fs::read(table(&full).join(file)).unwrap(), &table(&work).join(file));
        }
        let found = labels(&work).await.unwrap_or_else(|error| panic!("{added:?} {lefts:?}: {error}"));
        if found == new {
            kept += 1;
        } else {
            assert_eq!(found, old, "{added:?} {lefts:?}");
            let broken = added.iter().zip(&lefts).any(|(file, left)| is_needed(file) && *left != Left::Whole);
            assert!(broken, "a whole version was passed by");
            fell_back += 1;
        }
        // Work goes on where it fell back to.
        let corpus = Corpus::open(&work, Options::default()).await.unwrap();
        corpus.writer().append(vec![label(9, &face(b"a").face_id)]).await.unwrap();
    }
    println!(
        "{} states of an append: {kept} kept the new version, {fell_back} fell back to the old one, none lost a row",
        kept + fell_back
    );
    assert!(kept > 0 && fell_back > 500);
}

/// Lance alone opens a manifest of zeros as an empty table, without an error: the check is needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_set_aside_is_said_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = new_corpus(&root).await;
    corpus.writer().append(vec![label(1, "a")]).await.unwrap();
    corpus.writer().append(vec![label(2, "a")]).await.unwrap();
    drop(corpus);
    let newest = newest_manifest(&root, TableId::Labels);
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, vec![0; bytes.len()]).unwrap();
    let plain = lance::Dataset::open(root.join("tables/labels.lance").to_str().unwrap()).await;
    assert!(plain.is_ok_and(|dataset| dataset.version().version == 0), "Lance mends this itself now");
    let corpus = Corpus::open(&root, Options::default()).await.unwrap();
    let aside = corpus.set_aside().unwrap();
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0], PathBuf::from(format!("{}.broken", newest.display())));
    let report = corpus.verify(&SqlRuntime::new().unwrap(), VerifyOptions::default(), &mut |_, _| {}).await.unwrap();
    assert_eq!(report.set_aside, aside);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_version_is_not_passed_by_unless_a_person_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = new_corpus(&root).await;
    corpus.writer().append(vec![face(b"a"), face(b"b"), face(b"c")]).await.unwrap();
    let writer = marginalia_store::RoundWriter::begin(&corpus, crate::rounds::plan()).await.unwrap();
    crate::rounds::write(writer, true).await.unwrap();
    drop(corpus);
    let newest = newest_manifest(&root, TableId::Predictions);
    std::fs::write(&newest, b"").unwrap();
    let refused = Corpus::open(&root, Options::default()).await.err().unwrap();
    assert!(matches!(refused, Error::PinnedVersionBroken { table: TableId::Predictions, .. }), "{refused}");
    assert!(refused.to_string().contains("verify --repair"), "{refused}");
    assert!(newest.exists(), "it was set aside before anybody agreed");
    let (corpus, aside) = Corpus::open_past_pins(Home::attach(&root).await.unwrap(), Options::default()).await.unwrap();
    assert_eq!(aside.len(), 1, "{aside:?}");
    let options = VerifyOptions { repair: true, ..VerifyOptions::default() };
    let report = corpus.verify(&SqlRuntime::new().unwrap(), options, &mut |_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    assert!(report.repaired.iter().any(|what| what.contains("missing_version")), "{:?}", report.repaired);
    let gone = corpus.snapshot_at_round(1).await.err().unwrap();
    assert!(matches!(gone, Error::RoundNotKept { .. }), "{gone}");
}

/// The newest manifest has the smallest name: versions count down in it.
pub fn newest_manifest(root: &Path, table: TableId) -> PathBuf {
    let folder = root.join("tables").join(format!("{table}.lance")).join("_versions");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "manifest")).min().unwrap()
}
