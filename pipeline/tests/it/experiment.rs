//! Experiments as their own processes: recorded as they go, killed and gone on with, never run twice.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::binary::Bench;

const TABLE_1: [&str; 10] = [
    "experiment",
    "table1",
    "--dataset",
    "synthetic:250",
    "--labels",
    "per-class:1,per-class:2",
    "--seeds",
    "1,2",
    "--methods",
    "supervised,ada-cm",
];

/// What is recorded, without what differs from one process to another.
fn recorded(bench: &Bench) -> Vec<Value> {
    bench.sql(
        "select arm, dataset, labels, labelled, unlabelled, seed, target, faces, accuracy, macro_f1, checkpoint_hash, run \
         from experiments order by labels, seed, arm",
    )
}

/// Starts the experiment and kills it after so many lines of a kind of event.
fn killed_after(bench: &Bench, args: &[&str], kind: &str, count: usize) {
    let mut child = bench.start(&[args, &["--json"][..]].concat());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let events = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    let seen = events.filter(|event| event["event"] == kind).take(count).count();
    assert_eq!(seen, count, "it ended before it could be killed");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_killed_experiment_goes_on_and_comes_to_the_same() {
    let (whole, killed) = (Bench::new(), Bench::new());
    let text = whole.ok(&TABLE_1);
    killed_after(&killed, &TABLE_1, "run_recorded", 2);
    // In the middle of a run: its first epoch is done.
    killed_after(&killed, &TABLE_1, "run_step", 4);
    let results = killed.json(&TABLE_1);
    assert_eq!((&results["runs"], &results["recorded"]), (&8.into(), &8.into()));
    let rows = recorded(&whole);
    assert_eq!(rows.len(), 8);
    assert_eq!(rows, recorded(&killed));
    assert_eq!(killed.count("select count(distinct run) from experiments"), 8);
    // Breadth first: both arms with both budgets before any has its second seed.
    let order = whole.sql(
        "select concat(arm, ' ', labels, ' ', cast(seed as varchar)) as run from experiments order by finished_at",
    );
    let of_seed = |seed| {
        let budgets = ["per-class:1", "per-class:2"];
        budgets
            .map(|labels| ["supervised", "ada-cm"].map(|arm| json!({"run": format!("{arm} {labels} {seed}")})))
            .concat()
    };
    assert_eq!(order, [of_seed(1), of_seed(2)].concat());
    assert_results(&results, &killed);
    // S is what an import with that budget and seed would know: one face of seven classes.
    assert_eq!((&rows[0]["labelled"], &rows[0]["arm"]), (&7.into(), &"ada-cm".into()));
    let read = |file: &str| std::fs::read_to_string(whole.corpus().join("experiments/table1").join(file)).unwrap();
    let (bars, curves) = (read("macro-f1-synthetic-per-class-2.svg"), read("curves-synthetic-per-class-2.svg"));
    for (arm, figure) in ["supervised", "ada-cm"].iter().zip(results["columns"][1]["figures"].as_array().unwrap()) {
        let mean = figure["macro_f1"]["mean"].as_f64().unwrap();
        assert!(bars.contains(&format!(">{mean:.3}</text>")) && bars.contains(&format!(">{arm}</text>")), "{bars}");
        assert!(curves.contains(&format!(">{arm}</text>")), "{curves}");
    }
    assert!(read("margins-ada-cm-synthetic-per-class-2.svg").contains(">happiness: margin</text>"));
    assert_eq!(read("runs.csv").lines().count(), 1 + 8);
    assert!(text.starts_with(&read("table.md")), "{text}");
    assert!(text.contains("| always ") && text.contains("| supervised |"), "{text}");
    assert!(text.contains("## Against ada-cm") && text.contains("experiment table1 --dataset synthetic:250"), "{text}");
    let settings =
        "Settings: preset `streaming`, but `train.backbone = \"resnet-tiny\"`, `train.image_size = 24`, `train.";
    assert!(text.contains(settings), "{text}");
    whole.ok(&["verify"]);
}

/// Figures and differences are those that SQL makes of the same rows.
fn assert_results(results: &Value, bench: &Bench) {
    let close = |found: &Value, expected: &Value| {
        let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
        assert!((found - expected).abs() < 1e-9, "{found} and {expected}: {results}");
    };
    let (column, arms) = (&results["columns"][1], results["arms"].as_array().unwrap());
    assert_eq!(column["labels"], "per-class:2");
    for (place, arm) in arms.iter().map(|arm| arm.as_str().unwrap()).enumerate() {
        let of_arm = format!("from experiments where arm = '{arm}' and labels = 'per-class:2'");
        let figure = &column["figures"][place];
        let sums = &bench.sql(&format!("select avg(macro_f1) as mean, stddev(macro_f1) as deviation {of_arm}"))[0];
        close(&figure["macro_f1"]["mean"], &sums["mean"]);
        close(&figure["macro_f1"]["deviation"], &sums["deviation"]);
        // The second half of two epochs is the last one.
        let curves = bench.sql(&format!("select curve {of_arm}"));
        let curves = curves.iter().map(|row| serde_json::from_str::<Value>(row["curve"].as_str().unwrap()).unwrap());
        let shares: Vec<f64> = curves.filter_map(|curve| curve[1]["subset_one_share"].as_f64()).collect();
        let subset_one = &figure["subset_one"];
        assert_eq!((shares.len(), subset_one.is_null()), if arm == "ada-cm" { (2, false) } else { (0, true) });
        if arm == "ada-cm" {
            close(&subset_one["lowest"], &json!(shares[0].min(shares[1])));
            close(&subset_one["highest"], &json!(shares[0].max(shares[1])));
            close(&subset_one["mean"], &json!((shares[0] + shares[1]) / 2.0));
        }
    }
    let pairs = "select avg(a.macro_f1 - b.macro_f1) as macro_f1, avg(a.accuracy - b.accuracy) as accuracy, count(*) as pairs \
                 from experiments a join experiments b on a.seed = b.seed and a.labels = b.labels \
                 where a.arm = 'supervised' and b.arm = 'ada-cm'";
    let (difference, pairs) = (&results["differences"][0], &bench.sql(pairs)[0]);
    assert_eq!((&difference["arm"], &difference["macro_f1"]["count"]), (&"supervised".into(), &pairs["pairs"]));
    close(&difference["macro_f1"]["mean"], &pairs["macro_f1"]);
    close(&difference["accuracy"]["mean"], &pairs["accuracy"]);
}

#[test]
fn what_one_study_ran_another_does_not_run_again() {
    let bench = Bench::new();
    let common = ["--dataset", "synthetic:250", "--labels", "per-class:1", "--seeds", "1"];
    bench.ok(&[&["experiment", "table1", "--methods", "ada-cm"][..], &common[..]].concat());
    let arms = "ada-cm,fixed-0.8,generated-half,aligned-stream,eq2,soft-targets";
    let text = bench.ok(&[&["experiment", "ablation", "--arms", arms][..], &common[..]].concat());
    assert_eq!(bench.count("select count(*) from experiments where arm = 'ada-cm'"), 1);
    let rows = bench.sql("select arm, unlabelled, config from experiments order by arm");
    let found: Vec<&str> = rows.iter().map(|row| row["arm"].as_str().unwrap()).collect();
    assert_eq!(found, ["ada-cm", "aligned-stream", "fixed-0.8", "generated-half"]);
    let real = rows[0]["unlabelled"].as_u64().unwrap();
    assert_eq!(rows[3]["unlabelled"], 2 * real, "half of U is generated: {rows:?}");
    assert!(text.contains("| fixed-0.8 |"), "{text}");
    // The preset has no floor, and no votes came with the labels.
    assert!(text.contains("| eq2 | as ada-cm | | |\n| soft-targets | as ada-cm | | |\n"), "{text}");
    let config: Value = serde_json::from_str(rows[1]["config"].as_str().unwrap()).unwrap();
    let shares: Vec<f64> = config["alignment_shares"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    // The generator draws happiness most often.
    assert!(shares.iter().all(|share| *share <= shares[1]), "{shares:?}");
    // The margin that does not move, as the report argues from it.
    let curve = &bench.sql("select curve from experiments where arm = 'fixed-0.8'")[0]["curve"];
    let curve: Value = serde_json::from_str(curve.as_str().unwrap()).unwrap();
    let margins = curve[1]["margin"].as_object().unwrap();
    assert!(margins.values().all(|margin| (margin.as_f64().unwrap() - 0.8).abs() < 1e-6), "{curve}");
}

#[test]
fn a_simulation_labels_through_the_real_loop() {
    let (whole, killed) = (Bench::new(), Bench::new());
    let args = [
        ["experiment", "active-learning", "--dataset", "synthetic:250"],
        ["--labels", "per-class:1", "--seeds", "1"],
        ["--arms", "default,random", "--rounds", "3"],
    ]
    .concat();
    let args = [&args[..], &["--per-round", "5"][..]].concat();
    // The annotator has answered the first round's queue; then the second round is done.
    killed_after(&killed, &args, "round_planned", 2);
    killed_after(&killed, &args, "round_committed", 1);
    let results = killed.json(&args);
    assert_eq!((&results["runs"], &results["recorded"]), (&2.into(), &2.into()));
    let learning = results["learning"].as_array().unwrap();
    assert_eq!((learning.len(), &learning[1]["arm"]), (2, &"random".into()));
    whole.ok(&args);
    let table = std::fs::read_to_string(whole.corpus().join("experiments/active-learning/table.md")).unwrap();
    assert!(table.contains("their time is left out") && table.contains("weights go on from round to round"), "{table}");
    // What is recorded takes no room any more.
    assert_eq!(std::fs::read_dir(whole.corpus().join("experiments/runs")).unwrap().count(), 0);
    let rows = "select arm, curve, labelled, unlabelled, checkpoint_hash, run from experiments order by arm";
    assert_eq!(whole.sql(rows), killed.sql(rows));
    for row in killed.sql(rows) {
        let curve: Vec<Value> = serde_json::from_str(row["curve"].as_str().unwrap()).unwrap();
        let labels: Vec<u64> = curve.iter().map(|point| point["labels"].as_u64().unwrap()).collect();
        assert_eq!((labels, &row["labelled"]), (vec![7, 12, 17], &17.into()));
    }
}

#[test]
fn a_simulation_has_the_method_it_is_told_and_the_corpuss_settings_of_rounds() {
    let bench = Bench::new();
    let path = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("max_unlabelled = 20000", "max_unlabelled = 40")).unwrap();
    let args = ["experiment", "active-learning", "--dataset", "synthetic:250", "--labels", "per-class:1"];
    let rest = ["--seeds", "1", "--arms", "random", "--rounds", "1", "--method", "fixmatch"];
    bench.ok(&[&args[..], &rest[..]].concat());
    let row = &bench.sql("select unlabelled, config from experiments")[0];
    let config: Value = serde_json::from_str(row["config"].as_str().unwrap()).unwrap();
    assert_eq!((&row["unlabelled"], &config["method"]), (&40.into(), &"fixmatch".into()));
}

#[test]
fn a_run_that_diverges_is_told_and_not_made_again() {
    let bench = Bench::new();
    let path = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    // Gradients of features so large have no square.
    let text = text.replace("batch_unlabelled = 4", "batch_unlabelled = 4\nfeature_scale = 1e38");
    std::fs::write(&path, text).unwrap();
    let args = ["experiment", "table1", "--dataset", "synthetic:250", "--labels", "per-class:1"];
    let args = [&args[..], &["--seeds", "1", "--methods", "supervised"][..]].concat();
    let text = bench.ok(&args);
    let told = "## Without a figure\n\nTheir training came to no numbers, and would again.\n\n\
                - supervised on synthetic, per-class:1, seed 1: ";
    assert!(text.contains(told), "{text}");
    assert_eq!(bench.count("select count(*) from experiments"), 0);
    let again = bench.ok(&[&args[..], &["--json"][..]].concat());
    let lines: Vec<Value> = again.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let planned = lines.iter().find(|line| line["event"] == "experiment_planned").unwrap();
    assert_eq!((&planned["runs"], &planned["done"]), (&1.into(), &1.into()));
    assert_eq!(lines.last().unwrap()["diverged"].as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_can() {
    let bench = Bench::new();
    let refused = |args: &[&str], reason: &str| {
        let output = bench.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(reason), "{args:?}: {said}");
    };
    refused(&["experiment", "table1", "--methods", "fixmatsch"], "it has ada-cm, fixmatch, ");
    refused(&["experiment", "table1", "--dataset", "fer2013"], "write FORMAT:PATH");
    refused(&["experiment", "table1", "--dataset", "fer2013:nowhere.tar"], "nowhere.tar");
    refused(&["experiment", "table2", "--dataset", "synthetic:50"], "name at least two with --dataset");
    refused(&["experiment", "table1"], "corpus has no labelled face of split train");
    // Known before the first run, also of a budget whose turn comes late.
    let too_many = ["experiment", "table1", "--dataset", "synthetic:50", "--labels", "per-class:1,per-class:400"];
    refused(&too_many, "per-class:400 is too much for synthetic: class `");
    assert_eq!(bench.count("select count(*) from experiments"), 0);
}
