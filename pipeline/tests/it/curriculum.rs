//! The curriculum as users change it: the shipped orders of the queue, each through a real round, and texts that are wrong.

use marginalia::curriculum::orders::ORDERS;
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
    assert!(words.contains("`bagde`") && words.contains("typical-first, badge"), "{words}");
}
