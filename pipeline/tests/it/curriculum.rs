//! The curriculum as users change it: the shipped orders of the queue, each through a real round, and texts that are wrong.

use marginalia::config::RoundConfig;
use marginalia::curriculum::orders::{self, ORDERS};
use marginalia::curriculum::{Curriculum, Parameters};
use marginalia_store::tables::labels::Label;
use marginalia_store::tables::predictions::Prediction;
use marginalia_store::{Corpus, Options, Session, SqlLimits, SqlRuntime, Timestamp};
use serde_json::json;

use crate::binary::{Bench, write_faces, write_labelled};

fn bench() -> Bench {
    let bench = Bench::new();
    write_labelled(&bench.path("labelled"), 1, 42);
    write_faces(&bench.path("pool"), 2, 0..60);
    bench.ok(&["import", "imagefolder", bench.path("labelled").to_str().unwrap()]);
    bench.ok(&["ingest", bench.path("pool").to_str().unwrap()]);
    bench
}

fn set_queue(bench: &Bench, queue: &str) {
    let path = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = text.lines().map(|line| match line.starts_with("queue = ") {
        true => format!("queue = \"{queue}\"\n"),
        false => format!("{line}\n"),
    });
    std::fs::write(&path, lines.collect::<String>()).unwrap();
}

#[test]
fn every_shipped_order_drives_a_round() {
    let bench = bench();
    bench.ok(&["curriculum", "check"]);
    bench.ok(&["train"]);
    let default =
        bench.sql("select face_id, reason from queue where lane = 'queue' and round is not null order by rank");
    assert!(
        default.iter().any(|row| row["reason"].as_str().unwrap().contains("just below the margin of")),
        "{default:?}"
    );
    for (n, (name, text)) in ORDERS.iter().enumerate() {
        set_queue(&bench, name);
        assert!(bench.ok(&["curriculum", "show"]).contains(text.lines().next().unwrap()), "{name}");
        bench.ok(&["train"]);
        let round = n as u64 + 2;
        let written = format!("select count(*) from queue_entries where round = {round} and lane = 'queue'");
        let below = format!("select count(*) from predictions where round = {round} and subset = 'II'");
        assert_eq!(bench.count(&written), bench.count(&below), "{name}: all of subset II is in the queue");
        let stored = bench.sql(&format!("select curriculum from rounds where round = {round}"));
        let stored: serde_json::Value = serde_json::from_str(stored[0]["curriculum"].as_str().unwrap()).unwrap();
        assert_eq!((&stored["queue"], &stored["files"]["queue"]), (&json!(text), &json!(name)));
    }
}

fn prediction((face_id, expression, confidence, margin): (&str, &str, f32, f32)) -> Prediction {
    Prediction {
        round: 1,
        face_id: face_id.into(),
        expression: expression.into(),
        confidence,
        margin,
        subset: if confidence >= margin { "I" } else { "II" }.into(),
        probabilities: Vec::new(),
        entropy: 0.0,
        top2_gap: 0.0,
        mutual_information: None,
        calibrated_confidence: None,
        scored_at: Timestamp(1),
    }
}

fn label((face_id, expression): (&str, &str)) -> Label {
    Label {
        label_id: face_id.into(),
        face_id: face_id.into(),
        expression: Some(expression.into()),
        verdict: None,
        votes: None,
        annotator: "ann".into(),
        origin: "human".into(),
        lane: "queue".into(),
        round: None,
        suggestion: None,
        source: None,
        note: None,
        request_key: None,
        request_hash: None,
        seconds: None,
        created_at: Timestamp(1),
        retracts: None,
    }
}

/// `f` is over its margin. Two faces are labelled happiness, one sadness, none neutral.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_by_score_are_those_worked_out_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let classes = ["neutral", "happiness", "sadness"].map(str::to_owned);
    let corpus = Corpus::init(&folder.path().join("corpus"), &classes, Options::default()).await.unwrap();
    let scored = [
        ("a", "happiness", 0.75, 0.8),
        ("b", "happiness", 0.5, 0.8),
        ("c", "sadness", 0.52, 0.6),
        ("d", "sadness", 0.59, 0.6),
        ("e", "neutral", 0.3, 0.7),
        ("f", "neutral", 0.9, 0.7),
        ("g", "happiness", 0.45, 0.8),
    ];
    let labelled = [("happy", "happiness"), ("glad", "happiness"), ("sad", "sadness")];
    corpus.writer::<Prediction>().append(scored.map(prediction).to_vec()).await.unwrap();
    corpus.writer::<Label>().append(labelled.map(label).to_vec()).await.unwrap();
    let snapshot = corpus.snapshot().await.unwrap().with_candidates(1);
    let session = Session::open(&SqlRuntime::new().unwrap(), snapshot, SqlLimits::default()).await.unwrap();
    for (order, expected) in
        [("least-confidence", "e g b c d a"), ("margin-distance", "d a c b g e"), ("class-balanced", "e c g d b a")]
    {
        let (labelled, unlabelled) = (String::new(), String::new());
        let queue = orders::find(order).unwrap().to_owned();
        let curriculum = Curriculum { files: Default::default(), labelled, unlabelled, queue };
        let rows = curriculum.queue(&session, Parameters::new(&RoundConfig::default(), 1)).await.unwrap();
        let faces: Vec<&str> = rows.iter().map(|row| row.face_id.as_str()).collect();
        assert_eq!(faces.join(" "), expected, "{order}");
    }
}

#[test]
fn a_broken_text_stops_the_round_and_says_where() {
    let bench = bench();
    let queue = bench.corpus().join("curriculum/queue.sql");
    let good = std::fs::read_to_string(&queue).unwrap();
    let wrong = [
        ("select face_id, 'x' as reason\nfrom candidates\norder by confidnce", "line 3, column 10"),
        ("select face_id, 'x' as reason\nfrom candidates\nwhere", "curriculum/queue.sql"),
        ("select face_id\nfrom candidates", "it has no column reason"),
        ("select face_id, 1 as reason\nfrom candidates", "column reason is Int64, it has to be text"),
        ("copy candidates to '/tmp/x.csv'", "query refused"),
    ];
    for (text, said) in wrong {
        std::fs::write(&queue, text).unwrap();
        for command in [&["curriculum", "check"][..], &["train"]] {
            let output = bench.run(command);
            let words = String::from_utf8(output.stderr).unwrap();
            assert!(words.contains("curriculum/queue.sql") && words.contains(said), "{command:?} with {text}: {words}");
            assert_eq!(output.status.code(), Some(2), "{words}");
        }
    }
    // What fails only while it runs stops the round when its turn comes; nothing of the round shows.
    std::fs::write(&queue, "select face_id, cast(cast(face_id as int) as varchar) as reason\nfrom candidates").unwrap();
    let output = bench.run(&["train"]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && words.contains("curriculum/queue.sql") && words.contains("Cast error"),
        "{words}"
    );
    assert_eq!(bench.count("select count(*) from rounds"), 0);
    std::fs::write(&queue, good).unwrap();
    bench.ok(&["train"]);
    assert_eq!(bench.sql("select round, accepted from rounds"), [json!({ "round": 1, "accepted": true })]);
    bench.ok(&["verify"]);
}

#[test]
fn an_order_that_is_not_shipped_is_told_those_that_are() {
    let bench = Bench::new();
    set_queue(&bench, "bagde");
    let output = bench.run(&["curriculum", "check"]);
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("`bagde`") && words.contains("typiclust, bald, badge"), "{words}");
}
