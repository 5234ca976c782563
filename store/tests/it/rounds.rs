//! The round commit: wherever it dies, nothing shows, nothing is lost, and the next one goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use marginalia_store::tables::epochs::Epoch;
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::labels::Label;
use marginalia_store::tables::margins::Margin;
use marginalia_store::tables::predictions::Prediction;
use marginalia_store::tables::projections::Projection;
use marginalia_store::tables::queue_entries::QueueEntry;
use marginalia_store::tables::rounds::Round;
use marginalia_store::{
    Care, Corpus, Effort, Error, FailPoint, FailPoints, Options, RoundPlan, RoundWriter, Session, SqlLimits,
    SqlRuntime, TableId, Timestamp, VerifyOptions, write_whole,
};

use crate::commits::{face, label};
use crate::slt::CLASSES;

/// A plan for the next round.
pub fn plan() -> RoundPlan {
    RoundPlan {
        round: 0,
        method: "ada-cm".into(),
        seed: 1,
        config: "{}".into(),
        curriculum: "{}".into(),
        trigger: "manual".into(),
        read_versions: Default::default(),
        started_at: Timestamp(0),
    }
}

fn marker(accepted: bool, checkpoint: &str, hash: &str) -> Round {
    Round {
        round: 0,
        method: String::new(),
        seed: 0,
        config: String::new(),
        curriculum: String::new(),
        read_versions: String::new(),
        written_versions: String::new(),
        trigger: String::new(),
        labelled: 1,
        unlabelled: 2,
        pool: 2,
        scored: 2,
        subset_one: 1,
        subset_two: 1,
        validation: 0,
        validation_accuracy: None,
        validation_macro_f1: None,
        validation_best_macro_f1: None,
        temperature: None,
        accepted,
        gate: "test".into(),
        checkpoint: checkpoint.into(),
        checkpoint_hash: hash.into(),
        started_at: Timestamp(0),
        finished_at: Timestamp(0),
    }
}

fn prediction(round: u32, face_id: &str, confidence: f32) -> Prediction {
    Prediction {
        round,
        face_id: face_id.into(),
        expression: "happiness".into(),
        confidence,
        margin: 0.8,
        subset: if confidence >= 0.8 { "I" } else { "II" }.into(),
        probabilities: vec![0.0, confidence, 1.0 - confidence],
        entropy: 0.1,
        top2_gap: 0.2,
        mutual_information: None,
        calibrated_confidence: None,
        scored_at: Timestamp(1),
    }
}

async fn corpus(root: &std::path::Path, fail_points: FailPoints, keep_rounds: usize) -> Corpus {
    let options = Options { fail_points, keep_rounds, ..Options::default() };
    if root.exists() {
        return Corpus::open(root, options).await.unwrap();
    }
    let corpus = Corpus::init(root, &CLASSES.map(str::to_owned), options).await.unwrap();
    corpus.writer::<Face>().append(vec![face(b"a"), face(b"b"), face(b"c")]).await.unwrap();
    corpus
}

/// A whole round as the pipeline writes it.
pub async fn write(writer: RoundWriter, accepted: bool) -> marginalia_store::Result<Round> {
    let round = writer.plan().round;
    let ids: Vec<String> = [b"a", b"b", b"c"].iter().map(|image| face(*image).face_id).collect();
    let folder = writer.folder();
    write_whole(&folder.join("teacher.safetensors"), b"weights").unwrap();
    let margin = Margin {
        round,
        epoch: 1,
        t: round,
        expression: "happiness".into(),
        mean_confidence: Some(0.9),
        margin: 0.8,
        right_count: 1,
    };
    let epoch = Epoch {
        round,
        epoch: 1,
        steps: 1,
        loss: 1.0,
        loss_supervised: 1.0,
        loss_unlabelled: 0.0,
        loss_contrastive: 0.0,
        learning_rate: 5e-4,
        acceptance_rate: 0.5,
        subset_one: 1,
        subset_two: 1,
        labelled_accuracy: 1.0,
        validation_accuracy: None,
        validation_macro_f1: None,
        validation_nll: None,
        validation_brier: None,
        validation_ece: None,
        validation_ece_equal_mass: None,
        temperature: None,
        seconds: 1.0,
        finished_at: Timestamp(1),
    };
    writer.write_epochs(vec![epoch], vec![margin]).await?;
    if accepted {
        let (last, done) = writer.scored().await?;
        assert_eq!(last.is_some(), done > 0);
        let confidences = [0.9, 0.5];
        let rows = ids.iter().take(2).zip(confidences).skip(done as usize);
        let rows: Vec<Prediction> = rows.map(|(id, confidence)| prediction(round, id, confidence)).collect();
        writer.write_embeddings(Vec::new()).await?;
        writer.write_predictions(rows).await?;
        let entry = QueueEntry {
            round,
            face_id: ids[1].clone(),
            rank: 1,
            lane: "queue".into(),
            expression: None,
            reason: "test".into(),
        };
        writer.write_queue(vec![entry]).await?;
        let place = Projection { round, face_id: ids[0].clone(), x: 1.0, y: 2.0 };
        writer.write_projections(vec![place]).await?;
    }
    let checkpoint = format!("checkpoints/{}", folder.file_name().unwrap().to_str().unwrap());
    writer.commit(marker(accepted, &checkpoint, &blake3::hash(b"weights").to_hex())).await
}

async fn visible(corpus: &Corpus, sql: &SqlRuntime, table: &str) -> usize {
    let session = Session::open(sql, corpus.snapshot().await.unwrap(), SqlLimits::default()).await.unwrap();
    let batches = session.query(&format!("select round from {table}")).await.unwrap().collect().await.unwrap();
    batches.iter().map(|batch| batch.num_rows()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_a_round_dies_nothing_shows_and_the_next_start_finishes_it() {
    let sql = SqlRuntime::new().unwrap();
    for place in FailPoint::ROUND {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("c");
        let fails = Arc::new(AtomicUsize::new(0));
        let counter = fails.clone();
        let dying =
            corpus(&root, FailPoints::new(move |at| at == *place && counter.fetch_add(1, Ordering::Relaxed) == 0), 20)
                .await;
        let died = match RoundWriter::begin(&dying, plan()).await {
            Ok(writer) => write(writer, true).await.map(drop),
            Err(error) => Err(error),
        };
        assert!(died.is_err(), "{place:?} was never passed");
        assert_eq!(fails.load(Ordering::Relaxed), 1);
        // A new process.
        drop(dying);
        let corpus = corpus(&root, FailPoints::default(), 20).await;
        if *place != FailPoint::AfterMarker {
            for table in
                ["rounds", "predictions", "margins", "epochs", "queue_entries", "projections", "current_predictions"]
            {
                assert_eq!(visible(&corpus, &sql, table).await, 0, "{place:?}: {table} shows half a round");
            }
        }
        let report = corpus.verify(&sql, VerifyOptions::default(), &mut |_, _| {}).await.unwrap();
        assert!(report.is_clean() || *place == FailPoint::AfterMarker, "{place:?}: {:?}", report.findings);
        match RoundWriter::resume(&corpus).await.unwrap() {
            Some(writer) => {
                assert_eq!(writer.plan().round, 1);
                write(writer, true).await.unwrap();
            }
            None => assert_eq!(*place, FailPoint::AfterMarker),
        }
        assert_eq!(visible(&corpus, &sql, "rounds").await, 1, "{place:?}");
        assert_eq!(visible(&corpus, &sql, "predictions").await, 2, "{place:?}");
        assert_eq!(visible(&corpus, &sql, "margins").await, 1, "{place:?}");
        assert_eq!(visible(&corpus, &sql, "epochs").await, 1, "{place:?}");
        let report = corpus.verify(&sql, VerifyOptions::default(), &mut |_, _| {}).await.unwrap();
        assert!(report.is_clean(), "{place:?}: {:?}", report.findings);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aborted_round_leaves_nothing_and_frees_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(&folder.path().join("c"), FailPoints::default(), 20).await;
    let writer = RoundWriter::begin(&corpus, plan()).await.unwrap();
    let checkpoint = writer.folder();
    writer.write_predictions(vec![prediction(1, &face(b"a").face_id, 0.9)]).await.unwrap();
    // One round at a time, and the one who asks is told who is at it.
    assert!(matches!(RoundWriter::begin(&corpus, plan()).await, Err(Error::Locked { .. })));
    writer.abort().await.unwrap();
    assert!(!checkpoint.exists());
    let snapshot = corpus.snapshot().await.unwrap();
    assert_eq!(snapshot.count(TableId::Predictions, None).await.unwrap(), 0);
    assert!(RoundWriter::resume(&corpus).await.unwrap().is_none());
    assert_eq!(RoundWriter::begin(&corpus, plan()).await.unwrap().plan().round, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_given_up_may_leave_its_checkpoint_until_another_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let sql = SqlRuntime::new().unwrap();
    let corpus = corpus(&folder.path().join("c"), FailPoints::default(), 20).await;
    for weights in ["first", "second"] {
        let writer = RoundWriter::begin(&corpus, plan()).await.unwrap();
        let trained = writer.folder();
        write_whole(&trained.join("teacher.safetensors"), weights.as_bytes()).unwrap();
        writer.write_predictions(vec![prediction(1, &face(b"a").face_id, 0.9)]).await.unwrap();
        let kept = writer.abort_and_keep().await.unwrap();
        assert!(!trained.exists());
        assert_eq!(std::fs::read_to_string(kept.join("teacher.safetensors")).unwrap(), weights);
        // For the corpus it is a round given up like any other.
        assert_eq!(corpus.snapshot().await.unwrap().count(TableId::Predictions, None).await.unwrap(), 0);
        assert!(RoundWriter::resume(&corpus).await.unwrap().is_none());
        assert!(corpus.verify(&sql, VerifyOptions::default(), &mut |_, _| {}).await.unwrap().is_clean());
    }
    let copy = folder.path().join("backup");
    corpus.backup(&copy, &sql).await.unwrap();
    assert!(!copy.join("checkpoints/stopped").exists());
    assert_eq!(RoundWriter::begin(&corpus, plan()).await.unwrap().plan().round, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_round_knows_which_fragments_it_has_scored() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus(&folder.path().join("c"), FailPoints::default(), 20).await;
    let row = |image: &[u8]| vec![prediction(1, &face(image).face_id, 0.9)];
    let writer = RoundWriter::begin(&corpus, plan()).await.unwrap();
    assert_eq!(writer.scored_fragments().await.unwrap(), (vec![], 0));
    writer.write_chunk(&[], &[4, 7], row(b"a")).await.unwrap();
    drop(writer);
    let writer = RoundWriter::resume(&corpus).await.unwrap().unwrap();
    assert_eq!(writer.scored_fragments().await.unwrap(), (vec![4, 7], 1));
    // As if it had died before the predictions came.
    writer.write_chunk(&[4, 7], &[9], Vec::new()).await.unwrap();
    drop(writer);
    let writer = RoundWriter::resume(&corpus).await.unwrap().unwrap();
    assert_eq!(writer.scored_fragments().await.unwrap(), (vec![4, 7], 1));
    writer.write_chunk(&[4, 7], &[9, 2], row(b"b")).await.unwrap();
    assert_eq!(writer.scored_fragments().await.unwrap(), (vec![4, 7, 9, 2], 2));
    // Another round has scored nothing, though its number is the same.
    writer.abort().await.unwrap();
    let writer = RoundWriter::begin(&corpus, plan()).await.unwrap();
    assert_eq!((writer.plan().round, writer.scored_fragments().await.unwrap()), (1, (vec![], 0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_round_writes_epochs_and_margins_only_and_counts_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sql = SqlRuntime::new().unwrap();
    let corpus = corpus(&folder.path().join("c"), FailPoints::default(), 20).await;
    write(RoundWriter::begin(&corpus, plan()).await.unwrap(), true).await.unwrap();
    write(RoundWriter::begin(&corpus, plan()).await.unwrap(), false).await.unwrap();
    let snapshot = corpus.snapshot().await.unwrap();
    assert_eq!(snapshot.rounds().len(), 2);
    assert_eq!(snapshot.current_round(), Some(1));
    assert_eq!(visible(&corpus, &sql, "current_predictions").await, 2);
    assert_eq!(visible(&corpus, &sql, "epochs").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_round_shows_its_own_past_and_an_old_one_says_what_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let sql = SqlRuntime::new().unwrap();
    let corpus = corpus(&folder.path().join("c"), FailPoints::default(), 2).await;
    for _ in 0..3 {
        write(RoundWriter::begin(&corpus, plan()).await.unwrap(), true).await.unwrap();
        let id = face(b"c").face_id;
        corpus.writer::<Label>().append(vec![label(1, &id)]).await.unwrap();
        // Everything is merged, indexed and cleaned up at once: what a round names must outlive it.
        let care = Care { clean_up: Some(std::time::Duration::ZERO), effort: Effort::Thorough };
        corpus.care(care).await.unwrap();
    }
    for round in [2_u32, 3] {
        let snapshot = corpus.snapshot_at_round(round).await.unwrap();
        assert_eq!(snapshot.current_round(), Some(round));
        assert_eq!(snapshot.count(TableId::Labels, None).await.unwrap(), u64::from(round) - 1);
        let session = Session::open(&sql, snapshot, SqlLimits::default()).await.unwrap();
        let batches = session.query("select * from rounds").await.unwrap().collect().await.unwrap();
        assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), round as usize);
    }
    let gone = corpus.snapshot_at_round(1).await.err().unwrap().to_string();
    assert!(gone.contains("kept: 2, 3"), "{gone}");
    let never = corpus.snapshot_at_round(9).await.err().unwrap().to_string();
    assert!(never.contains("there are 1, 2, 3"), "{never}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verify_finds_what_was_changed_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let sql = SqlRuntime::new().unwrap();
    let root = folder.path().join("c");
    let corpus = corpus(&root, FailPoints::default(), 20).await;
    write(RoundWriter::begin(&corpus, plan()).await.unwrap(), true).await.unwrap();
    assert!(corpus.verify(&sql, VerifyOptions::default(), &mut |_, _| {}).await.unwrap().is_clean());
    // A label of a face that is not there, a face whose image is another, a checkpoint that was swapped.
    corpus.writer::<Label>().append(vec![label(7, "nobody")]).await.unwrap();
    corpus.writer::<Face>().append(vec![Face { face_id: "ab".repeat(32), ..face(b"z") }]).await.unwrap();
    std::fs::write(root.join("checkpoints/round-00001/teacher.safetensors"), b"others").unwrap();
    let report = corpus.verify(&sql, VerifyOptions::default(), &mut |_, _| {}).await.unwrap();
    let mut codes: Vec<&str> = report.findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["checkpoint_differs", "dangling_face", "hash_differs"], "{:?}", report.findings);
}
