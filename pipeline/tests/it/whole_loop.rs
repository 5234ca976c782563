//! One turn of the whole loop through the command line, and what it says when something is wrong.

use std::collections::BTreeSet;

use marginalia_datasets::{Limits, thumbnail};
use serde_json::{Value, json};

use crate::binary::{Bench, write_faces, write_labelled};

#[test]
fn faces_become_labels_rounds_and_a_corpus() {
    let bench = Bench::new();
    let config = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("tensorboard = false", "tensorboard = true");
    std::fs::write(&config, text).unwrap();
    write_labelled(&bench.path("labelled"), 1, 120);
    write_faces(&bench.path("inbox"), 2, 0..60);
    std::fs::copy(bench.path("inbox/000003.png"), bench.path("inbox/copy.png")).unwrap();
    std::fs::write(bench.path("inbox/broken.png"), b"no image").unwrap();

    let labelled = bench.path("labelled");
    let summary = bench.json(&["import", "imagefolder", labelled.to_str().unwrap(), "--hold-out", "validation:30%"]);
    assert_eq!(summary["read"], 120);
    assert_eq!(summary["labels"], 120);
    assert!(summary["held_out"].as_u64().unwrap() > 10);
    // Again: nothing is read twice.
    let again = bench.json(&["import", "imagefolder", labelled.to_str().unwrap(), "--hold-out", "validation:30%"]);
    assert_eq!((again["new_faces"].as_u64(), again["labels"].as_u64()), (Some(0), Some(0)));
    assert_eq!(bench.count("select count(*) from sightings"), 120);

    let inbox = bench.path("inbox");
    let counts = bench.json(&["ingest", inbox.to_str().unwrap()]);
    assert_eq!(counts["new"], 60);
    assert_eq!(counts["repeats"], 1);
    assert_eq!(counts["rejected"], 1);
    let counts = bench.json(&["ingest", inbox.to_str().unwrap()]);
    assert_eq!((counts["seen"].as_u64(), counts["new"].as_u64()), (Some(0), Some(0)));
    assert_eq!(bench.sql("select code from rejects")[0]["code"], "not_an_image");

    // Before the first round the queue is the unlabelled faces in an order that stays.
    let cold = bench.sql("select face_id, reason from queue order by rank");
    assert_eq!(cold.len(), 60);
    assert_eq!(cold[0]["reason"], "cold_start");
    assert_eq!(cold, bench.sql("select face_id, reason from queue order by rank"));

    let round = bench.json(&["train", "--seed", "1"]);
    assert_eq!(round["round"], 1);
    assert_eq!(round["scored"], 60);
    assert_eq!(round["subset_one"].as_u64().unwrap() + round["subset_two"].as_u64().unwrap(), 60);
    let labelled_then = round["labelled"].as_u64().unwrap();
    // Features are kept of the scored and of the labelled faces, once each, and of none that are held out.
    assert_eq!(bench.count("select count(*) from embeddings"), 60 + labelled_then);
    assert_eq!(bench.count("select count(*) from current_predictions"), 60);
    assert_eq!(
        bench.count(
            "select count(*) from (select * from current_predictions where (subset = 'I') <> (confidence >= margin))"
        ),
        0
    );

    // A label from the command line, and the next round uses it.
    let face = cold[0]["face_id"].as_str().unwrap();
    let label = bench.json(&["label", &face[..12], "Happy", "--annotator", "ada"]);
    assert_eq!(label["expression"], "happiness");
    let story = bench.json(&["explain", face]);
    assert_eq!(story["corpus"]["origin"], "human");
    assert_eq!(story["predictions"].as_array().unwrap().len(), 1);
    let round = bench.json(&["train", "--seed", "1"]);
    assert_eq!(round["labelled"].as_u64().unwrap(), labelled_then + 1);
    assert_eq!(round["scored"], 59);
    // Of each round, one epoch ended as long after the other as it took.
    let apart = "select count(*) from epochs a join epochs b on a.round = b.round and a.epoch + 1 = b.epoch \
                 where cast(b.finished_at as bigint) - cast(a.finished_at as bigint) >= 0.99e6 * b.seconds";
    assert_eq!(bench.count(apart), 2);
    every_epoch_is_stored_as_it_was_measured(&bench, 2);
    bench.ok(&["unlabel", label["label_id"].as_str().unwrap()]);
    assert_eq!(bench.count("select count(*) from current_labels where origin = 'human'"), 0);
    let gone = bench.run(&["unlabel", label["label_id"].as_str().unwrap()]);
    assert_eq!(gone.status.code(), Some(1));

    // The past is as it was.
    let at = bench.json(&["sql", "--at-round", "1", "select count(*) as n from rounds"]);
    assert_eq!(at[0]["n"], 1);
    bench.ok(&["compact"]);
    bench.ok(&["verify"]);
    bench.ok(&["curriculum", "check"]);
    for round in ["1", "2"] {
        let replayed = bench.json(&["rounds", round, "--replay"]);
        assert_eq!(replayed["same"], true, "{replayed}");
    }
    let events = std::fs::read_dir(bench.corpus().join("tensorboard")).unwrap();
    assert_eq!(events.count(), 2, "one file for each round, none for what was trained again");
    let shown = bench.ok(&["rounds", "2"]);
    assert!(shown.contains("margins after the last epoch"), "{shown}");
    let evaluated = bench.json(&["evaluate", "imagefolder", labelled.to_str().unwrap()]);
    assert_eq!(evaluated["count"], 120);
    let predicted = bench.json(&["predict", bench.path("inbox/000003.png").to_str().unwrap()]);
    assert!(predicted[0]["confidence"].as_f64().unwrap() > 0.0);
    let small = bench.path("small.png");
    let image = std::fs::read(bench.path("inbox/000003.png")).unwrap();
    std::fs::write(&small, thumbnail(&image, 4, &Limits::default()).unwrap().unwrap()).unwrap();
    let refused = bench.run(&["predict", small.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stdout).contains("the image is 4×4 pixels"), "{refused:?}");
}

/// The rows of `epochs` say what the reports of the checkpoint say.
fn every_epoch_is_stored_as_it_was_measured(bench: &Bench, round: u32) {
    let rows = bench.sql(&format!("select * from epochs where round = {round} order by epoch"));
    let checkpoint = bench.sql(&format!("select checkpoint, temperature from rounds where round = {round}")).remove(0);
    let reports = bench.corpus().join(checkpoint["checkpoint"].as_str().unwrap()).join("epochs.json");
    let reports: Vec<Value> = serde_json::from_slice(&std::fs::read(reports).unwrap()).unwrap();
    let number = |value: &Value| value.as_f64().map(|number| number as f32);
    assert_eq!(rows.len(), reports.len());
    for (row, report) in rows.iter().zip(&reports) {
        for key in ["accuracy", "macro_f1", "nll", "brier", "ece", "ece_equal_mass"] {
            let stored = number(&row[&format!("validation_{key}")]);
            assert!(stored.is_some() && stored == number(&report["validation"][key]), "{key}: {row}");
        }
        assert_eq!(number(&row["temperature"]), number(&report["calibration"]["temperature"]), "{row}");
    }
    assert_eq!(rows.last().map(|row| number(&row["temperature"])), Some(number(&checkpoint["temperature"])));
}

#[test]
fn a_round_that_cannot_begin_does_not_stand_in_the_way() {
    let bench = Bench::new();
    let (labelled, inbox) = (bench.path("labelled"), bench.path("inbox"));
    write_labelled(&labelled, 1, 42);
    write_faces(&inbox, 2, 0..30);
    bench.ok(&["import", "imagefolder", labelled.to_str().unwrap()]);
    bench.ok(&["ingest", inbox.to_str().unwrap()]);
    let broken = bench.path("broken.safetensors");
    std::fs::write(&broken, "no weights").unwrap();
    for file in [bench.path("nowhere.pth"), broken] {
        let output = bench.run(&["train", "--init", file.to_str().unwrap()]);
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(file.file_name().unwrap().to_str().unwrap()), "{said}");
    }
    assert_eq!(bench.json(&["train"])["method"], "ada-cm");
    assert_eq!(bench.count("select count(*) from rounds"), 1);
}

#[test]
fn held_back_labels_leave_no_trace_unless_truth_is_kept() {
    let bench = Bench::new();
    write_labelled(&bench.path("labelled"), 1, 150);
    let labelled = bench.path("labelled");
    let summary =
        bench.json(&["import", "imagefolder", labelled.to_str().unwrap(), "--labels", "per-class:2", "--keep-truth"]);
    assert_eq!(summary["labels"], 14);
    assert_eq!(bench.count("select count(*) from sightings where given_class is not null"), 14);
    let tables: BTreeSet<String> = bench
        .sql("select table_name from information_schema.tables")
        .iter()
        .map(|row| row["table_name"].as_str().unwrap().to_owned())
        .collect();
    assert!(tables.contains("corpus") && !tables.contains("truth") && !tables.iter().any(|t| t.ends_with("_all")));
    // The same seed draws the same faces, another one others.
    let ids = |bench: &Bench| bench.sql("select face_id from current_labels order by face_id");
    let other = Bench::new();
    let import = |bench: &Bench, seed: &str| {
        bench.ok(&["import", "imagefolder", labelled.to_str().unwrap(), "--labels", "per-class:2", "--seed", seed]);
    };
    import(&other, "1");
    assert_eq!(ids(&bench), ids(&other));
    let third = Bench::new();
    import(&third, "2");
    assert_ne!(ids(&bench), ids(&third));
}

#[test]
fn a_large_data_set_joins_one_that_is_labelled_already() {
    let bench = Bench::new();
    let (first, second) = (bench.path("first"), bench.path("second"));
    write_labelled(&first, 1, 7);
    write_labelled(&second, 2, 1100);
    bench.ok(&["import", "imagefolder", first.to_str().unwrap()]);
    let summary = bench.json(&["import", "imagefolder", second.to_str().unwrap()]);
    assert_eq!((&summary["new_faces"], &summary["labels"]), (&json!(1100), &json!(1100)));
    let again = bench.json(&["import", "imagefolder", second.to_str().unwrap()]);
    assert_eq!((&again["new_faces"], &again["labels"]), (&json!(0), &json!(0)));
}

#[test]
fn wrong_usage_is_told_in_one_line_with_what_to_do() {
    let bench = Bench::new();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["train"], 1, "too few to train on"),
        (&["rounds", "7"], 1, "no round has finished yet"),
        (&["explain", "abc"], 1, "no face abc"),
        (&["label", "abc", "happiness"], 1, "no face abc"),
        (&["import", "nosuch", "."], 2, "fer2013"),
        (&["import", "imagefolder", "./nowhere"], 1, "nowhere"),
        (&["sql", "drop table faces"], 1, "refused"),
        (&["sql", "select * from '/etc/passwd'"], 1, "/etc/passwd"),
        (&["sql", "--at-round", "3", "select 1"], 1, "no round 3"),
        (&["predict", "x.jpg"], 1, "no teacher"),
        (&["--corpus", "/nowhere", "status"], 2, "marginalia init"),
        (&["train", "--method", "adacm"], 2, "ada-cm"),
        (&["train", "--every", "10m", "--init", "weights.pth"], 2, "cannot be used with"),
    ];
    for (args, code, words) in cases {
        let output = bench.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(*code), "{args:?}: {said}");
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[test]
fn a_drawn_corpus_is_one_like_any_other() {
    let bench = Bench::new();
    let drawn =
        bench.json(&["bench", "corpus", "--faces", "700", "--rounds", "2", "--labels", "90", "--features", "100"]);
    assert!(drawn["round_seconds"][1]["commit"].as_f64().is_some_and(|seconds| seconds > 0.0), "{drawn}");
    bench.ok(&["verify"]);
    let counts = "select (select count(*) from faces) as faces, (select count(*) from predictions) as predictions, \
                  (select count(*) from labels) as labels, (select count(*) from rounds) as rounds, \
                  (select count(*) from embeddings) as features";
    let expected = json!({ "faces": 700, "predictions": 1400, "labels": 90, "rounds": 2, "features": 100 });
    assert_eq!(bench.sql(counts), [expected]);
    let queue = bench.sql("select rank, face_id from queue order by rank limit 300");
    let below = bench.count("select count(*) from unlabelled where subset = 'II'");
    assert!(queue.len() as u64 == below.min(300) && below > 100, "{below} in subset II, {} in the queue", queue.len());
    let measured = bench.json(&["bench", "sql", "--runs", "1", "--scan", "provider,shared,groups"]);
    for (kind, count) in [("queries", 12), ("lookups", 2)] {
        let of_kind = measured[kind].as_array().expect(kind);
        assert_eq!(of_kind.len(), count, "{measured}");
        for query in of_kind {
            assert_eq!(query["seconds"], query["by_scan"]["provider"], "{query}");
            assert_eq!(query["by_scan"].as_object().expect("a time for each way").len(), 3, "{query}");
        }
    }
    assert_eq!(bench.run(&["bench", "corpus", "--faces", "10"]).status.code(), Some(2));
}
