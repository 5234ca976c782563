//! The store against a model of it: whatever is done to a corpus in whatever order, it holds what a map would.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use marginalia_store::tables::faces::Face;
use marginalia_store::tables::labels::Label;
use marginalia_store::{
    Care, Corpus, Effort, FailPoint, FailPoints, Options, RoundWriter, Session, SqlLimits, SqlRuntime, VerifyOptions,
};
use proptest::prelude::*;

use crate::commits::{face, label};
use crate::rounds;
use crate::slt::new_corpus;

#[derive(Clone, Debug)]
enum Step {
    Face(u8),
    Label { id: u32, face: u8 },
    Retract { id: u32 },
    Round { dies_at: Option<usize>, accepted: bool },
    Abort,
    Compact,
    CleanUp,
    Reopen,
    Forget(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let faces = 0..12_u8;
    prop_oneof![
        4 => faces.clone().prop_map(Step::Face),
        4 => (0..40_u32, faces.clone()).prop_map(|(id, face)| Step::Label { id, face }),
        2 => (0..40_u32).prop_map(|id| Step::Retract { id }),
        2 => (prop::option::of(0..FailPoint::ROUND.len()), any::<bool>())
            .prop_map(|(dies_at, accepted)| Step::Round { dies_at, accepted }),
        1 => Just(Step::Abort),
        1 => Just(Step::Compact),
        1 => Just(Step::CleanUp),
        2 => Just(Step::Reopen),
        1 => faces.prop_map(Step::Forget),
    ]
}

/// What the corpus should hold.
#[derive(Debug, Default)]
struct Model {
    faces: BTreeSet<u8>,
    forgotten: BTreeSet<u8>,
    /// Label to its face, and whether it was taken back.
    labels: BTreeMap<u32, (u8, bool)>,
    /// Finished rounds, and whether each was accepted.
    rounds: Vec<bool>,
}

fn id_of(n: u8) -> String {
    face(&[n]).face_id
}

async fn open(root: &Path, dies_at: &Arc<AtomicUsize>) -> Corpus {
    let dies_at = dies_at.clone();
    let dies = move |place: FailPoint| FailPoint::ROUND.get(dies_at.load(Ordering::Relaxed)) == Some(&place);
    Corpus::open(root, Options { fail_points: FailPoints::new(dies), ..Options::default() }).await.unwrap()
}

async fn apply(step: Step, corpus: &mut Corpus, root: &Path, dies_at: &Arc<AtomicUsize>, model: &mut Model) {
    match step {
        Step::Face(n) => {
            let written = corpus.writer::<Face>().append(vec![face(&[n])]).await.unwrap().written;
            let is_new = !model.forgotten.contains(&n) && model.faces.insert(n);
            assert_eq!(written, [is_new]);
        }
        Step::Label { id, face } => {
            if model.faces.contains(&face) && !model.labels.contains_key(&id) {
                corpus.writer().append(vec![label(id, &id_of(face))]).await.unwrap();
                model.labels.insert(id, (face, false));
            }
        }
        Step::Retract { id } => {
            if let Some((face, taken_back)) = model.labels.get_mut(&id).filter(|(_, taken_back)| !taken_back) {
                let row = label(id, &id_of(*face));
                let retraction = Label {
                    label_id: format!("{}r", row.label_id),
                    expression: None,
                    retracts: Some(row.label_id.clone()),
                    ..row
                };
                corpus.writer().append(vec![retraction]).await.unwrap();
                *taken_back = true;
            }
        }
        // A round needs the three faces that the test's own one predicts.
        Step::Round { dies_at: at, accepted } => {
            dies_at.store(at.unwrap_or(usize::MAX), Ordering::Relaxed);
            let stood = model.rounds.len();
            let begun = match RoundWriter::resume(corpus).await.unwrap() {
                Some(writer) => Ok(writer),
                None => RoundWriter::begin(corpus, rounds::plan()).await,
            };
            if let Ok(writer) = begun {
                let _ = rounds::write(writer, accepted).await;
            }
            dies_at.store(usize::MAX, Ordering::Relaxed);
            let now = corpus.snapshot().await.unwrap();
            assert!(now.rounds().len() <= stood + 1);
            assert!(at.is_some() || now.rounds().len() == stood + 1, "a round that did not die is not there");
            if now.rounds().len() > stood {
                model.rounds.push(accepted);
            }
        }
        Step::Abort => {
            if let Some(writer) = RoundWriter::resume(corpus).await.unwrap() {
                writer.abort().await.unwrap();
            }
        }
        Step::Compact => {
            corpus.care(Care { effort: Effort::Thorough, ..Care::default() }).await.unwrap();
        }
        Step::CleanUp => {
            corpus.sweep().await.unwrap();
            corpus.care(Care { clean_up: Some(Duration::ZERO), ..Care::default() }).await.unwrap();
        }
        Step::Reopen => *corpus = open(root, dies_at).await,
        Step::Forget(n) => {
            if model.faces.remove(&n) {
                corpus.forget(&[id_of(n)], None).await.unwrap();
                model.forgotten.insert(n);
                model.labels.retain(|_, (face, _)| *face != n);
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
struct LabelOf {
    label_id: String,
    face_id: String,
}

async fn agree(corpus: &Corpus, sql: &SqlRuntime, model: &Model) {
    let snapshot = corpus.snapshot().await.unwrap();
    let mut faces: Vec<Vec<u8>> =
        snapshot.rows::<Face>(None).await.unwrap().into_iter().map(|face| face.image).collect();
    faces.retain(|image| image.as_slice() < b"a".as_slice());
    faces.sort();
    assert_eq!(faces, model.faces.iter().map(|n| vec![*n]).collect::<Vec<_>>());
    assert_eq!(snapshot.rounds().iter().map(|round| round.accepted).collect::<Vec<_>>(), model.rounds);
    let session = Session::open(sql, snapshot, SqlLimits::default()).await.unwrap();
    let query = "select label_id, face_id from current_labels order by label_id";
    let found: Vec<LabelOf> = session.query_trusted(query, Vec::new()).await.unwrap().rows().await.unwrap();
    // Of one annotator's judgements of a face the latest counts.
    let mut latest: BTreeMap<u8, u32> = BTreeMap::new();
    for (id, (face, taken_back)) in &model.labels {
        if !taken_back {
            latest.insert(*face, *id);
        }
    }
    let mut wanted: Vec<LabelOf> = latest
        .into_iter()
        .map(|(face, id)| LabelOf { label_id: label(id, "").label_id, face_id: id_of(face) })
        .collect();
    wanted.sort();
    assert_eq!(found, wanted);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("MARGINALIA_MODEL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(6),
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_corpus_holds_what_was_put_into_it(steps in prop::collection::vec(step(), 10..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("c");
            let sql = SqlRuntime::new().unwrap();
            drop(new_corpus(&root).await);
            let dies_at = Arc::new(AtomicUsize::new(usize::MAX));
            let mut corpus = open(&root, &dies_at).await;
            corpus.writer().append(vec![face(b"a"), face(b"b"), face(b"c")]).await.unwrap();
            let mut model = Model::default();
            for step in &steps {
                apply(step.clone(), &mut corpus, &root, &dies_at, &mut model).await;
            }
            agree(&corpus, &sql, &model).await;
            // And so for the next start, which finds nothing to complain about.
            let corpus = open(&root, &dies_at).await;
            agree(&corpus, &sql, &model).await;
            let report = corpus.verify(&sql, VerifyOptions::default(), &mut |_, _| {}).await.unwrap();
            assert!(report.is_clean(), "{:?}", report.findings);
        });
    }
}
