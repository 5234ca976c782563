//! Forgetting: no piece of the image and no id anywhere, everything else as it was, and the face does not come back.

use std::path::Path;

use marginalia_store::tables::erasures::Erasure;
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::labels::Label;
use marginalia_store::{
    Care, Corpus, Effort, Error, FailPoint, FailPoints, Options, RoundWriter, SqlRuntime, TableId, VerifyOptions,
};

use crate::commits::{face, label};
use crate::rounds;
use crate::slt::new_corpus;

/// Bytes that nothing compresses.
fn noise(seed: u32) -> Vec<u8> {
    let mut bytes = vec![0; 3000];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Whether any file under the folder holds these bytes.
fn holds(folder: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => holds(&path, wanted),
        false => std::fs::read(&path).unwrap().windows(wanted.len()).any(|window| window == wanted),
    })
}

async fn filled(root: &Path) -> Corpus {
    let corpus = new_corpus(root).await;
    let faces: Vec<Face> = (0..100).map(|i| face(&noise(i))).collect();
    let first = [face(b"a"), face(b"b"), face(b"c")];
    corpus.writer().append(first.iter().cloned().chain(faces.iter().cloned()).collect()).await.unwrap();
    corpus.writer().append(vec![label(1, &faces[7].face_id), label(2, &faces[8].face_id)]).await.unwrap();
    corpus.care(Care { effort: Effort::Thorough, ..Care::default() }).await.unwrap();
    corpus.writer().append((100..110).map(|i| face(&noise(i))).collect()).await.unwrap();
    let writer = RoundWriter::begin(&corpus, rounds::plan()).await.unwrap();
    rounds::write(writer, true).await.unwrap();
    corpus
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_forgotten_face_is_left_and_all_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = filled(&root).await;
    // One with a label, one that came later, one that a round predicted.
    let gone = [noise(7), noise(103), b"a".to_vec()];
    let ids: Vec<String> = gone.iter().map(|image| face(image).face_id).collect();
    for image in &gone[..2] {
        assert!(holds(&root, &image[..64]) && holds(&root, &image[1500..1564]), "the search finds nothing at all");
    }
    assert!(holds(&root, ids[0].as_bytes()));
    let cost = corpus.cost_of_forgetting(&ids).await.unwrap();
    assert_eq!((cost.faces, cost.rounds_lost.as_slice()), (3, [1].as_slice()));
    let rows = |table| cost.rows.iter().find(|(of, _)| *of == table).unwrap().1;
    assert_eq!((rows(TableId::Faces), rows(TableId::Labels), rows(TableId::Predictions)), (3, 1, 1));
    let done = corpus.forget(&ids, Some("asked to".into())).await.unwrap();
    assert_eq!(done, cost);
    for image in &gone[..2] {
        for start in (0..2900).step_by(100) {
            assert!(!holds(&root, &image[start..start + 64]), "bytes from {start} on are still there");
        }
    }
    for id in &ids {
        assert!(!holds(&root, id.as_bytes()), "the id is still there");
    }
    // The control: another face is still found, with its label.
    assert!(holds(&root, &noise(8)[1500..1564]) && holds(&root, face(&noise(8)).face_id.as_bytes()));
    let corpus = Corpus::open(&root, Options::default()).await.unwrap();
    let snapshot = corpus.snapshot().await.unwrap();
    assert_eq!(snapshot.count(TableId::Faces, None).await.unwrap(), 110);
    assert_eq!(snapshot.rows::<Label>(None).await.unwrap(), [label(2, &face(&noise(8)).face_id)]);
    let report = corpus.verify(&SqlRuntime::new().unwrap(), VerifyOptions::default(), &mut |_, _| {}).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    let erasures = snapshot.rows::<Erasure>(None).await.unwrap();
    assert_eq!((erasures.len(), erasures[0].faces, erasures[0].rounds.clone()), (1, 3, Some(vec![1])));
    let lost = corpus.snapshot_at_round(1).await.err().unwrap();
    assert!(matches!(lost, Error::RoundNotKept { .. }), "{lost}");
    assert!(lost.to_string().contains("a face that it saw was forgotten on "), "{lost}");
    // The same bytes are refused, here and by a process that opened the corpus before.
    let again = corpus.writer().append(vec![face(&gone[0]), face(b"new")]).await.unwrap();
    assert_eq!(again.written, [false, true]);
    assert_eq!(corpus.forgotten(&[&ids[1], &face(b"b").face_id]).await.unwrap(), [true, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_face_is_named_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("c");
    let corpus = filled(&root).await;
    let before = corpus.snapshot().await.unwrap().versions();
    let unknown = "0".repeat(64);
    let refused = corpus.forget(std::slice::from_ref(&unknown), None).await.unwrap_err();
    assert!(refused.to_string().contains(&unknown), "{refused}");
    assert_eq!(corpus.snapshot().await.unwrap().versions(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgetting_that_was_killed_is_finished_by_repeating_it() {
    for place in [TableId::Sightings, TableId::Labels, TableId::Embeddings, TableId::Faces] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("c");
        drop(filled(&root).await);
        let fail_points = FailPoints::new(move |at| at == FailPoint::ForgottenIn(place));
        let options = Options { fail_points, ..Options::default() };
        let gone = [noise(7), noise(103)];
        let ids: Vec<String> = gone.iter().map(|image| face(image).face_id).collect();
        let dying = Corpus::open(&root, options).await.unwrap();
        let died = dying.forget(&ids, Some("asked to".into())).await.unwrap_err();
        assert!(died.to_string().contains("died"), "{died}");
        drop(dying);
        let corpus = Corpus::open(&root, Options::default()).await.unwrap();
        for id in &ids {
            assert_eq!(corpus.forgettable(id).await.unwrap(), *id);
        }
        corpus.forget(&ids, Some("asked to".into())).await.unwrap();
        for (image, id) in gone.iter().zip(&ids) {
            assert!(!holds(&root, &image[1500..1564]) && !holds(&root, id.as_bytes()), "killed at {place}");
        }
        // Once more, by somebody who is not sure: nothing is counted twice.
        corpus.forget(&ids, None).await.unwrap();
        let erasures = corpus.snapshot().await.unwrap().rows::<Erasure>(None).await.unwrap();
        assert_eq!(erasures.iter().map(|erasure| erasure.faces).collect::<Vec<_>>(), [2], "killed at {place}");
    }
}
