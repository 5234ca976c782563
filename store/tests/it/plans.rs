//! What sessions share: a plan made for one face, one version or one round is right for all others.

use marginalia_store::{Care, Corpus, Session, SqlLimits, SqlRuntime, TableId, VIEWS};
use serde_json::{Value, json};

use crate::slt::{cells, insert, new_corpus};

async fn open(corpus: &Corpus, runtime: &SqlRuntime) -> Session {
    let snapshot = corpus.snapshot().await.expect("a snapshot");
    Session::open(runtime, snapshot, SqlLimits::default()).await.expect("a session")
}

/// A line per row, sorted.
async fn rows(session: &Session, sql: &str) -> Vec<String> {
    let batches = session.query(sql).await.expect(sql).collect().await.expect(sql);
    let mut rows: Vec<String> = batches.iter().flat_map(cells).map(|row| row.join(" ")).collect();
    rows.sort_unstable();
    rows
}

fn prediction(round: u32, face_id: &str, expression: &str, confidence: f64) -> Value {
    let subset = if confidence >= 0.8 { "I" } else { "II" };
    json!({"round": round, "face_id": face_id, "expression": expression, "confidence": confidence, "margin": 0.8,
           "subset": subset, "probabilities": [confidence, 0.1, 0.1]})
}

fn label(id: &str, face_id: &str, annotator: &str, expression: &str) -> Value {
    json!({"label_id": id, "face_id": face_id, "expression": expression, "annotator": annotator, "origin": "human"})
}

async fn faces(corpus: &Corpus, ids: &[&str]) {
    insert(corpus, "faces", ids.iter().map(|id| json!({"face_id": id, "perceptual_hash": 7})).collect()).await;
    let sightings = ids.iter().map(|id| json!({"face_id": id, "source": format!("{id}.png")}));
    insert(corpus, "sightings", sightings.collect()).await;
}

async fn round(corpus: &Corpus, round: u32, predictions: Vec<Value>) {
    insert(corpus, "predictions", predictions).await;
    insert(corpus, "queue_entries", vec![json!({"round": round, "face_id": "b", "rank": 1, "lane": "queue"})]).await;
    insert(corpus, "rounds", vec![json!({"round": round, "accepted": true})]).await;
}

async fn two_rounds(corpus: &Corpus) {
    faces(corpus, &["a", "b", "c", "it's"]).await;
    let confidences = [("a", 0.9), ("b", 0.5), ("c", 0.85), ("it's", 0.4)];
    for (number, expression) in [(1, "neutral"), (2, "sadness")] {
        let scored = confidences.map(|(face, confidence)| prediction(number, face, expression, confidence));
        round(corpus, number, scored.to_vec()).await;
    }
    let labels = [("1", "a", "ann", "sadness"), ("2", "a", "bob", "neutral"), ("3", "it's", "ann", "neutral")];
    insert(corpus, "labels", labels.map(|(id, face, who, what)| label(id, face, who, what)).to_vec()).await;
}

/// `where face_id = '…'` is answered from a plan that was made for another face; a comparison that no such plan exists for
/// says what is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_view_finds_a_face_as_any_other_way_would() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    two_rounds(&corpus).await;
    let session = open(&corpus, &SqlRuntime::new().expect("SQL threads")).await;
    let mut found = 0;
    for view in VIEWS.iter().filter(|view| view.columns().iter().any(|(name, _)| *name == "face_id")) {
        for face in ["a", "b", "c", "it''s", "nobody"] {
            let looked_up = format!("select * from {} where face_id = '{face}'", view.name);
            let compared = format!("select * from {} where concat(face_id, '') = '{face}'", view.name);
            let expected = rows(&session, &compared).await;
            assert_eq!(rows(&session, &looked_up).await, expected, "{looked_up}");
            found += expected.len();
        }
    }
    assert!(found > 40, "{found} rows are no test");
}

/// Texts that a face's plan must not be taken for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_else_a_text_says_of_a_face_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    two_rounds(&corpus).await;
    let session = open(&corpus, &SqlRuntime::new().expect("SQL threads")).await;
    let count = |condition: &str| format!("select count(*) from faces where {condition}");
    for (condition, expected) in [
        ("face_id = 'a'", "1"),
        ("face_id = 'b' and face_id = 'b'", "1"),
        ("face_id = 'b' and face_id = 'a'", "0"),
        ("face_id = 'a' and face_id in ('a', 'b')", "1"),
        ("face_id = 'b' or face_id = 'c'", "2"),
        ("face_id = 'c' and face_id > 'b'", "1"),
        ("face_id = 'a' and face_id > 'b'", "0"),
        ("not face_id = 'a'", "3"),
        ("face_id = 'a' -- it's a face", "1"),
        ("face_id = 'a' or 1 = 1", "4"),
    ] {
        assert_eq!(rows(&session, &count(condition)).await, [expected], "{condition}");
    }
    let twice =
        "with f as (select face_id from faces where face_id = 'c') select a.face_id from f a join f b using (face_id)";
    assert_eq!(rows(&session, twice).await, ["c"]);
    assert_eq!(rows(&session, &twice.replace("'c'", "'a'")).await, ["a"]);
    // What a text calls face_id need not be one: a view compares this column with a string of its own.
    let no_face =
        json!({"label_id": "4", "face_id": "b", "verdict": "not_a_face", "annotator": "ann", "origin": "human"});
    insert(&corpus, "labels", vec![no_face]).await;
    let session = open(&corpus, &SqlRuntime::new().expect("SQL threads")).await;
    let named = "select face_id as id, expression as face_id from corpus";
    let mut found = 0;
    // Whatever stands between the two, a class is looked for as any other string is.
    for source in [
        format!("({named})"),
        format!("({named} union all select expression, face_id from corpus)"),
        format!("(select *, count(*) over (partition by face_id) from ({named}))"),
        format!("(select id, face_id, count(*) from ({named}) group by id, face_id)"),
        format!("(select distinct id, face_id from ({named}) order by id limit 9)"),
        format!("(select r.* from faces l join ({named}) r on l.face_id = r.id)"),
        format!("(select l.* from ({named}) l left join sightings r on l.id = r.face_id)"),
        format!("(select r.* from sightings l right join ({named}) r on l.face_id = r.id)"),
        format!("(select r.* from ({named}) l full join ({named}) r on l.id = r.id)"),
        format!("(select l.* from ({named}) l left semi join faces r on l.id = r.face_id)"),
        format!("(select r.* from faces l right semi join ({named}) r on l.face_id = r.id)"),
        format!("(select l.* from ({named}) l left anti join rejects r on l.id = r.source)"),
        format!("(select face_id from faces) join ({named}) r on true"),
        format!("(select face_id from faces) cross join ({named}) r"),
        format!("({named}) join (select id as other, face_id as class from ({named})) r on id = other"),
    ] {
        let column = if source.ends_with(" r") || source.ends_with("on true") { "r.face_id" } else { "face_id" };
        for face in ["neutral", "not_a_face", "sadness", "a", "c"] {
            let looked_up = format!("select {column} from {source} where {column} = '{face}'");
            let compared = format!("select {column} from {source} where concat({column}, '') = '{face}'");
            let expected = rows(&session, &compared).await;
            assert_eq!(rows(&session, &looked_up).await, expected, "{looked_up}");
            found += expected.len();
        }
    }
    assert!(found > 20, "{found} rows are no test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_versions_and_new_rounds_are_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    two_rounds(&corpus).await;
    let runtime = SqlRuntime::new().expect("SQL threads");
    let texts = [
        "select face_id, round, expression from current_predictions",
        "select face_id, origin, expression from corpus",
        "select face_id, lane, rank from queue",
        "select face_id from unlabelled where face_id = 'd'",
        "select from_expression, to_expression from flips(1, 2) where face_id = 'b'",
    ];
    let earlier = open(&corpus, &runtime).await;
    let mut before = Vec::new();
    for text in texts {
        before.push(rows(&earlier, text).await);
    }
    assert_eq!(before[3], [""; 0]);
    faces(&corpus, &["d"]).await;
    insert(&corpus, "labels", vec![label("4", "b", "ann", "neutral")]).await;
    let newer = open(&corpus, &runtime).await;
    assert_eq!(rows(&newer, texts[3]).await, ["d"]);
    assert!(rows(&newer, texts[1]).await.contains(&"b human neutral".to_owned()));
    assert!(rows(&newer, texts[2]).await.iter().all(|row| !row.starts_with("b ")));
    round(&corpus, 3, vec![prediction(3, "d", "neutral", 0.9)]).await;
    let newest = open(&corpus, &runtime).await;
    assert_eq!(rows(&newest, texts[0]).await, ["d 3 neutral"]);
    // The earlier session still looks at what it looked at.
    for (text, before) in texts.iter().zip(before) {
        assert_eq!(rows(&earlier, text).await, before, "{text}");
    }
}

/// Many small commits are put together without writing the large fragments again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_small_fragments_is_put_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = new_corpus(&folder.path().join("corpus")).await;
    let large = (0..5000).map(|n| json!({"face_id": format!("large {n}"), "source": "x"})).collect();
    insert(&corpus, "sightings", large).await;
    assert!(!corpus.is_crowded().await.expect("a look"));
    for n in 0..64 {
        insert(&corpus, "sightings", vec![json!({"face_id": format!("small {n}"), "source": "x"})]).await;
    }
    assert!(corpus.is_crowded().await.expect("a look"));
    let files = || async {
        let snapshot = corpus.snapshot().await.expect("a snapshot");
        let dataset = snapshot.dataset(TableId::Sightings).expect("a table");
        let files = dataset.fragments().iter().flat_map(|fragment| &fragment.files).map(|file| file.path.clone());
        files.collect::<Vec<_>>()
    };
    let before = files().await;
    let report = corpus.care(Care::default()).await.expect("a pass");
    assert_eq!(report.compacted, [TableId::Sightings]);
    let after = files().await;
    assert_eq!((before.len(), after.len()), (65, 2));
    assert_eq!(before[0], after[0], "the large one stays");
    assert!(!corpus.is_crowded().await.expect("a look"));
    let runtime = SqlRuntime::new().expect("SQL threads");
    assert_eq!(rows(&open(&corpus, &runtime).await, "select count(distinct face_id) from sightings").await, ["5064"]);
}
