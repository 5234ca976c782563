//! Functions of our own: their examples, and what a session makes of them.

use arrow::array::AsArray;
use marginalia_store::{Corpus, FUNCTIONS, FunctionKind, Session, Snapshot, SqlLimits, SqlRuntime};
use serde_json::{Value, json};
use std::sync::Arc;

use crate::slt::{cells, insert, new_corpus};

async fn open(snapshot: Arc<Snapshot>) -> Session {
    let runtime = SqlRuntime::new().expect("SQL threads");
    Session::open(&runtime, snapshot, SqlLimits::default()).await.expect("a session")
}

/// A line per row, as the documentation shows answers.
async fn answer(session: &Session, sql: &str) -> String {
    let batches = session.query(sql).await.expect(sql).collect().await.expect(sql);
    let rows: Vec<String> = batches.iter().flat_map(cells).map(|row| row.join(" ")).collect();
    rows.join("\n")
}

fn prediction(round: u32, face_id: &str, expression: &str, confidence: f64) -> Value {
    let subset = if confidence >= 0.8 { "I" } else { "II" };
    let rest = (1.0 - confidence) / 2.0;
    json!({"round": round, "face_id": face_id, "expression": expression, "confidence": confidence, "margin": 0.8,
           "subset": subset, "probabilities": [confidence, rest, rest]})
}

/// Three faces scored by two rounds; the features of the second.
async fn two_rounds(corpus: &Corpus) {
    let predictions = vec![
        prediction(1, "a", "neutral", 0.5),
        prediction(1, "b", "neutral", 0.5),
        prediction(2, "a", "neutral", 0.75),
        prediction(2, "b", "sadness", 0.9),
        prediction(2, "c", "neutral", 0.6),
    ];
    let embeddings = [("a", [1.0, 0.0]), ("b", [0.8, 0.6]), ("c", [0.0, 1.0])];
    let embeddings = embeddings.map(|(face_id, feature)| json!({"round": 2, "face_id": face_id, "feature": feature}));
    insert(corpus, "predictions", predictions).await;
    insert(corpus, "embeddings", embeddings.to_vec()).await;
}

async fn accept(corpus: &Corpus, round: u32) {
    insert(corpus, "rounds", vec![json!({"round": round, "accepted": true})]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_answer_as_documented() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    two_rounds(&corpus).await;
    accept(&corpus, 1).await;
    accept(&corpus, 2).await;
    let session = open(corpus.snapshot().await.expect("a snapshot")).await;
    for function in FUNCTIONS {
        assert_eq!(answer(&session, function.example).await, function.answer, "{}", function.name);
        assert!(function.call.starts_with(&format!("{}(", function.name)), "{}", function.call);
        assert!(function.example.contains(&format!("{}(", function.name)), "{}", function.example);
    }
}

/// Scalar and aggregate functions explain themselves to SQL clients too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_stand_in_the_information_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    let session = open(corpus.snapshot().await.expect("a snapshot")).await;
    for function in FUNCTIONS.iter().filter(|function| function.kind() != FunctionKind::Table) {
        let sql = format!(
            "select distinct routine_name from information_schema.routines where routine_name = '{}'",
            function.name
        );
        assert_eq!(answer(&session, &sql).await, function.name);
    }
}

/// While a round orders its queue, `diverse` chooses from that round's faces; before its marker nobody else sees them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_chooses_from_its_own_faces() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    two_rounds(&corpus).await;
    accept(&corpus, 1).await;
    let snapshot = corpus.snapshot().await.expect("a snapshot");
    let sql = "select rank, face_id from diverse(2) order by rank";
    assert_eq!(answer(&open(snapshot.clone()).await, sql).await, "");
    assert_eq!(answer(&open(snapshot.with_candidates(2)).await, sql).await, "1 a\n2 c");
    // As a curriculum would use it.
    let queue = "select c.face_id, 'diverse' as reason from candidates c join diverse(100) d on c.face_id = d.face_id \
                 order by d.rank";
    assert_eq!(answer(&open(snapshot.with_candidates(2)).await, queue).await, "a diverse\nc diverse");
}

/// What makes a view fast shows in its plan: the round is looked for inside Lance, and so is what a filter computes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_reach_the_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    two_rounds(&corpus).await;
    accept(&corpus, 1).await;
    accept(&corpus, 2).await;
    let session = open(corpus.snapshot().await.expect("a snapshot")).await;
    for (sql, filters) in [
        ("select face_id from current_predictions", vec!["round = UInt32(2)"]),
        ("select face_id from flips", vec!["round = UInt32(1)", "round = UInt32(2)"]),
        ("select face_id from flips(2, 1)", vec!["round = UInt32(1)", "round = UInt32(2)"]),
        ("select * from subset_flow", vec!["round = UInt32(1)", "round = UInt32(2)"]),
        ("select face_id from predictions where entropy(probabilities) > 0.5", vec!["entropy(probabilities)"]),
    ] {
        let batches = session.query(&format!("explain {sql}")).await.expect(sql).collect().await.expect(sql);
        let plan =
            batches.iter().flat_map(|batch| batch.column(1).as_string::<i32>().iter().flatten().collect::<Vec<_>>());
        let plan = plan.last().expect("a physical plan").to_owned();
        for filter in filters {
            let reads = plan.lines().filter(|line| line.contains("LanceRead") && line.contains(filter)).count();
            assert!(reads > 0, "{sql} reads without {filter}:\n{plan}");
        }
    }
}

/// Nearly blank pictures have hashes that are all near each other: they neither make rows by the million nor take minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blank_pictures_do_not_multiply() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    let copies = (0..2000).map(|i| json!({"face_id": format!("copy{i:04}"), "perceptual_hash": 7, "ingested_at": i}));
    // They differ in their low bits only, so that all share most bands.
    let near = (0..1500).map(|i| json!({"face_id": format!("near{i:04}"), "perceptual_hash": (1_u64 << 60) + i}));
    insert(&corpus, "faces", copies.chain(near).collect()).await;
    let session = open(corpus.snapshot().await.expect("a snapshot")).await;
    let sql = "select distance, near_id, count(*) from near_duplicates group by distance, near_id order by distance";
    assert_eq!(answer(&session, sql).await, "0 copy0000 1999\n1 copy0000 1");
}

/// An aggregate's memory is accounted for: too many faces are refused, not held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agreement_over_too_many_faces_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    let runtime = SqlRuntime::new().expect("SQL threads");
    let limits = SqlLimits { memory_bytes: 16 << 20, max_temp_bytes: 16 << 20, ..SqlLimits::default() };
    let session =
        Session::open(&runtime, corpus.snapshot().await.expect("a snapshot"), limits).await.expect("a session");
    let sql = "select krippendorff_alpha(value, 'ann', 'fear') from generate_series(1, 3000000)";
    let answer = session.query(sql).await.expect("a plan").collect().await;
    assert!(matches!(answer, Err(marginalia_store::Error::QueryTooLarge { .. })), "{answer:?}");
}
