//! What a session promises: typed answers over one state of the corpus, for many at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion::scalar::ScalarValue;
use marginalia_store::{Error, SqlLimits, Timestamp, VIEWS};
use serde::Deserialize;
use serde_json::json;

use super::{Fixture, number, run};
use crate::slt::insert;

#[derive(Debug, Deserialize, PartialEq)]
struct Judgement {
    face_id: String,
    expression: Option<String>,
    created_at: Timestamp,
    seconds: Option<f32>,
    votes: Option<Vec<u32>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trusted_texts_take_parameters_and_give_typed_rows() {
    let fixture = Fixture::new().await;
    let rows = vec![
        json!({"label_id": "1", "face_id": "a", "expression": "sadness", "annotator": "ann", "origin": "human",
               "created_at": 1_700_000_000_000_001_i64, "seconds": 0.1, "votes": [1, 2]}),
        json!({"label_id": "2", "face_id": "b", "verdict": "skip", "annotator": "ann", "origin": "human", "created_at": 5}),
    ];
    insert(&fixture.corpus, "labels", rows).await;
    let session = fixture.session(SqlLimits::default()).await;
    let sql = "select * from current_labels where annotator = $annotator order by face_id";
    let parameters = vec![("annotator", ScalarValue::from("ann"))];
    let answer = session.query_trusted(sql, parameters).await.expect("an answer");
    let rows: Vec<Judgement> = answer.rows().await.expect("typed rows");
    let first = Judgement {
        face_id: "a".into(),
        expression: Some("sadness".into()),
        created_at: Timestamp(1_700_000_000_000_001),
        seconds: Some(0.1),
        votes: Some(vec![1, 2]),
    };
    let second =
        Judgement { face_id: "b".into(), expression: None, created_at: Timestamp(5), seconds: None, votes: None };
    assert_eq!(rows, [first, second]);
    assert!(session.query_trusted("drop table labels", Vec::new()).await.is_err());
    let schema =
        session.schema_of("select face_id, 1.5 as weight from unlabelled where $seed > 0").await.expect("a schema");
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["face_id", "weight"]);
    for bad in ["select nothing from faces", "select face_id + 1 from faces", "select", "select * from nowhere"] {
        assert!(matches!(session.schema_of(bad).await, Err(Error::QueryFailed { .. })), "{bad}");
    }
}

/// A session goes on looking at what it was opened on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_a_snapshot() {
    let fixture = Fixture::new().await;
    let before = fixture.session(SqlLimits::default()).await;
    let label =
        json!({"label_id": "1", "face_id": "a", "expression": "sadness", "annotator": "ann", "origin": "human"});
    insert(&fixture.corpus, "labels", vec![label]).await;
    let after = fixture.session(SqlLimits::default()).await;
    assert_eq!(number(&before, "select count(*) from corpus").await, 0);
    assert_eq!(number(&after, "select count(*) from corpus").await, 1);
}

/// A text asked again is planned once; what depends on the time is planned each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_asked_again_means_the_same_unless_it_asks_for_the_time() {
    let fixture = Fixture::new().await;
    let label =
        json!({"label_id": "1", "face_id": "a", "expression": "sadness", "annotator": "ann", "origin": "human"});
    insert(&fixture.corpus, "labels", vec![label]).await;
    let session = fixture.session(SqlLimits::default()).await;
    for _ in 0..3 {
        assert_eq!(number(&session, "select count(*) from corpus where expression = 'sadness'").await, 1);
        assert_eq!(number(&session, "select count(*) from corpus where expression = 'fear'").await, 0);
    }
    let time = "select cast(now() as bigint)";
    let inside = "select t from (select cast(now() as bigint) as t, face_id from corpus) where face_id = 'a'";
    for sql in [time, inside] {
        let before = number(&session, sql).await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(number(&session, sql).await > before, "{sql}");
    }
    // More texts than are remembered.
    for n in 0..80 {
        assert_eq!(number(&session, &format!("select count(*) + {n} from corpus")).await, n + 1);
    }
    assert_eq!(number(&session, "select count(*) + 0 from corpus").await, 1);
}

/// Each view's file documents exactly the columns it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_are_documented() {
    let fixture = Fixture::new().await;
    let session = fixture.session(SqlLimits::default()).await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/views");
    let files = std::fs::read_dir(folder).expect("src/views").count();
    assert_eq!(files, VIEWS.len(), "a file without its line in views.rs");
    for view in VIEWS {
        let schema = session.schema_of(&format!("select * from {}", view.name)).await.expect(view.name);
        let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let documented: Vec<&str> = view.columns().iter().map(|(name, _)| *name).collect();
        assert_eq!(columns, documented, "{}", view.name);
        assert!(view.doc().len() > 10, "{}", view.name);
        // On nothing at all every view still answers.
        run(&session, &format!("select * from {}", view.name)).await.expect(view.name);
    }
}

/// Many sessions at once, on one runtime.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_share_the_threads() {
    let fixture = Fixture::new().await;
    let session = Arc::new(fixture.session(SqlLimits::default()).await);
    let tasks: Vec<_> = (0..32)
        .map(|i| {
            let session = session.clone();
            tokio::spawn(async move { number(&session, &format!("select count(*) + {i} from queue")).await })
        })
        .collect();
    for (i, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.expect("no panic"), i as i64);
    }
}
