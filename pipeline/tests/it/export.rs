//! What `export` writes is what the corpus says, in every format, and what others read.

use std::collections::BTreeSet;
use std::path::Path;

use datafusion::arrow::array::AsArray;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

use crate::binary::{Bench, write_faces, write_labelled};

/// A corpus with imported labels, a human one and a round's pseudo-labels.
fn corpus() -> Bench {
    let bench = Bench::new();
    write_labelled(&bench.path("labelled"), 1, 70);
    write_faces(&bench.path("inbox"), 2, 0..40);
    let labelled = bench.path("labelled");
    bench.ok(&["import", "imagefolder", labelled.to_str().unwrap(), "--hold-out", "validation:20%"]);
    bench.ok(&["ingest", bench.path("inbox").to_str().unwrap()]);
    let face = bench.sql("select face_id from queue order by rank limit 1")[0]["face_id"].clone();
    bench.ok(&["label", face.as_str().unwrap(), "fear", "--annotator", "ada"]);
    let config = bench.corpus().join("marginalia.toml");
    // Margins of an untrained network would leave subset I empty.
    let text = std::fs::read_to_string(&config).unwrap().replace("#beta = 0.97", "beta = 0.1");
    std::fs::write(&config, text.replace("#empty_class = 0.8", "empty_class = 0.0")).unwrap();
    bench.ok(&["train"]);
    bench
}

fn export(bench: &Bench, to: &str, options: &[&str]) -> (Value, std::path::PathBuf) {
    let folder = bench.path(to);
    let record = bench.json(&[&["export", folder.to_str().unwrap()], options].concat());
    (record, folder)
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_format_holds_the_corpus() {
    let bench = corpus();
    let expected: BTreeSet<(String, String, String)> = bench
        .sql("select face_id, expression, origin from corpus")
        .iter()
        .map(|row| {
            let text = |column: &str| row[column].as_str().unwrap().to_owned();
            (text("face_id"), text("expression"), text("origin"))
        })
        .collect();
    let origins: BTreeSet<&str> = expected.iter().map(|(_, _, origin)| origin.as_str()).collect();
    assert_eq!(origins, BTreeSet::from(["human", "import", "pseudo"]), "the corpus is too small for the test");
    let files: BTreeSet<Vec<u8>> = walkdir::WalkDir::new(bench.folder.path())
        .into_iter()
        .filter_map(|entry| {
            Some(entry.unwrap().into_path()).filter(|path| path.extension().is_some_and(|e| e == "png"))
        })
        .map(|path| std::fs::read(path).unwrap())
        .collect();

    let (record, folder) = export(&bench, "parquet", &[]);
    assert_eq!(record["finished"], true);
    assert_eq!(record["faces"][0].as_u64(), Some(expected.len() as u64));
    let file = std::fs::File::open(folder.join("part-00000.parquet")).unwrap();
    let mut found = BTreeSet::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let images = batch.column_by_name("image").unwrap().as_binary::<i32>();
        let (ids, classes, origins) = (column("face_id"), column("expression"), column("origin"));
        for row in 0..batch.num_rows() {
            found.insert((ids.value(row).to_owned(), classes.value(row).to_owned(), origins.value(row).to_owned()));
            assert!(files.contains(images.value(row)), "an image that is no file's");
        }
    }
    assert_eq!(found, expected);

    let of = |rows: &[Value]| -> BTreeSet<(String, String, String)> {
        let text = |row: &Value, column: &str| row[column].as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(row, "face_id"), text(row, "expression"), text(row, "origin"))).collect()
    };
    let (_, folder) = export(&bench, "jsonl", &["--format", "jsonl"]);
    assert_eq!(of(&lines(&folder.join("part-00000.jsonl"))), expected);
    let (_, folder) = export(&bench, "csv", &["--format", "csv"]);
    let csv = std::fs::read_to_string(folder.join("part-00000.csv")).unwrap();
    assert_eq!(csv.lines().count(), expected.len() + 1);
    assert!(csv.starts_with("face_id,expression,origin,annotators,confidence,margin,round,"), "{csv}");

    let (_, folder) = export(&bench, "imagefolder", &["--format", "imagefolder"]);
    let mut rows = Vec::new();
    for split in ["train", "validation"] {
        for row in lines(&folder.join(split).join("metadata.jsonl")) {
            let image = folder.join(split).join(row["file_name"].as_str().unwrap());
            assert!(files.contains(&std::fs::read(image).unwrap()));
            assert_eq!(row["split"], split);
            rows.push(row);
        }
    }
    assert_eq!(of(&rows), expected);
    assert!(!folder.join(".metadata").exists());

    let (_, folder) = export(&bench, "label-studio", &["--format", "label-studio"]);
    let tasks: Value = serde_json::from_slice(&std::fs::read(folder.join("tasks-00000.json")).unwrap()).unwrap();
    let tasks = tasks.as_array().unwrap();
    assert_eq!(of(&tasks.iter().map(|task| task["data"].clone()).collect::<Vec<_>>()), expected);
    let human = tasks.iter().find(|task| task["data"]["origin"] == "human").unwrap();
    assert_eq!(human["annotations"][0]["result"][0]["value"]["choices"][0], "fear");
    assert_eq!(human["annotations"][0]["result"][0]["meta"]["annotator"], "ada");
    let pseudo = tasks.iter().find(|task| task["data"]["origin"] == "pseudo").unwrap();
    assert_eq!(pseudo["predictions"][0]["model_version"], "round-1");
    let image = human["data"]["image"].as_str().unwrap().rsplit_once("images/").unwrap().1;
    assert!(files.contains(&std::fs::read(folder.join("images").join(image)).unwrap()));
    bench.ok(&["verify"]);

    // Into a new corpus: what people and data sets said stands there as it stood here; the model's word does not.
    let other = Bench::new();
    other.ok(&["import", "label-studio", folder.to_str().unwrap()]);
    let said = "select face_id, expression, origin, split from corpus where origin <> 'pseudo' order by face_id";
    assert_eq!(other.sql(said), bench.sql(said));
    assert_eq!(other.count("select count(*) from corpus where origin = 'pseudo'"), 0);
    assert_eq!(other.sql("select annotator from current_labels where origin = 'human'")[0]["annotator"], "ada");
    assert_eq!(other.count("select count(distinct face_id) from faces"), expected.len() as u64);
    let again = other.json(&["import", "label-studio", folder.to_str().unwrap()]);
    assert_eq!((again["labels"].as_u64(), again["new_faces"].as_u64()), (Some(0), Some(0)));
}

#[test]
fn what_comes_back_from_label_studio_is_known_until_somebody_changes_it() {
    let bench = corpus();
    let (_, folder) = export(&bench, "there", &["--format", "label-studio"]);
    let back = |bench: &Bench| bench.json(&["import", "label-studio", folder.to_str().unwrap()])["labels"].as_u64();
    let labels = "select face_id, expression, annotator, origin from current_labels order by face_id, annotator";
    let before = bench.sql(labels);
    assert_eq!(back(&bench), Some(0));
    assert_eq!(bench.sql(labels), before);
    // Taken back here, it does not return.
    let mine = "select label_id, face_id from current_labels where annotator = 'ada'";
    let taken_back = bench.sql(mine)[0]["label_id"].as_str().unwrap().to_owned();
    bench.ok(&["unlabel", &taken_back]);
    assert_eq!((back(&bench), bench.sql(mine).len()), (Some(0), 0));
    let other = Bench::new();
    assert!(back(&other) > Some(0));
    // Account 7 there says something else about ada's face: that takes the place of what she said.
    let file = folder.join("tasks-00000.json");
    let mut tasks: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let task = tasks.as_array_mut().unwrap().iter_mut().find(|task| task["data"]["origin"] == "human").unwrap();
    let face = task["data"]["face_id"].as_str().unwrap().to_owned();
    task["annotations"][0]["result"][0]["value"]["choices"][0] = "anger".into();
    task["annotations"][0]["completed_by"] = 1.into();
    task["annotations"][0]["updated_by"] = 7.into();
    std::fs::write(&file, tasks.to_string()).unwrap();
    assert_eq!((back(&other), back(&other)), (Some(1), Some(0)));
    let said = other.sql(&format!("select expression, annotator, origin from current_labels where face_id = '{face}'"));
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!((&said[0]["expression"], &said[0]["annotator"]), (&"anger".into(), &"label-studio-7".into()));
    assert_eq!(said[0]["origin"], "human");
}

#[test]
fn an_export_takes_what_is_wished_for_and_goes_on_where_it_was() {
    let bench = corpus();
    let human = bench.count("select count(*) from corpus where origin = 'human'");
    let sure = bench
        .count("select count(*) from corpus where origin = 'pseudo' and confidence >= 0.2 and expression <> 'fear'");
    let (record, folder) = export(&bench, "human", &["--format", "jsonl", "--origin", "human"]);
    assert_eq!(record["faces"][0].as_u64(), Some(human));
    let card = std::fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(card.contains("| fear | human |") && card.contains("| ada | human | 1 |"), "{card}");
    let wish = ["--format", "csv", "--origin", "pseudo", "--min-confidence", "0.2", "--where", "expression <> 'fear'"];
    assert_eq!(export(&bench, "sure", &wish).0["faces"][0].as_u64(), Some(sure));

    // A finished one is not written over, nor is anything else.
    let again = bench.run(&["export", folder.to_str().unwrap(), "--format", "jsonl", "--origin", "human"]);
    assert_eq!(again.status.code(), Some(2));
    let other = bench.run(&["export", bench.path("labelled").to_str().unwrap()]);
    assert_eq!(other.status.code(), Some(2), "{}", String::from_utf8_lossy(&other.stderr));
    let wrong = bench.run(&["export", bench.path("wrong").to_str().unwrap(), "--where", "no_such_column = 1"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("no_such_column"));

    // Broken off before its part: the same command goes on over the same state, whatever came in between.
    let record = folder.join("export.json");
    let text = std::fs::read_to_string(&record).unwrap();
    let mut broken: Value = serde_json::from_str(&text).unwrap();
    (broken["finished"], broken["faces"]) = (false.into(), Value::Array(Vec::new()));
    std::fs::write(&record, broken.to_string()).unwrap();
    std::fs::remove_file(folder.join("part-00000.jsonl")).unwrap();
    let face = bench.sql("select face_id from queue order by rank limit 1")[0]["face_id"].clone();
    bench.ok(&["label", face.as_str().unwrap(), "anger", "--annotator", "bo"]);
    let refused = bench.run(&["export", folder.to_str().unwrap(), "--format", "csv", "--origin", "human"]);
    assert_eq!(refused.status.code(), Some(2));
    let (record, _) = export(&bench, "human", &["--format", "jsonl", "--origin", "human"]);
    assert_eq!(record["faces"][0].as_u64(), Some(human));
    assert_eq!(export(&bench, "then", &["--at-round", "1", "--origin", "human"]).0["faces"][0].as_u64(), Some(human));
    assert_eq!(export(&bench, "now", &["--origin", "human"]).0["faces"][0].as_u64(), Some(human + 1));
}

#[test]
fn an_image_folder_that_was_cut_off_at_its_end_goes_on() {
    let bench = corpus();
    let finish = || export(&bench, "images", &["--format", "imagefolder"]);
    let (_, folder) = finish();
    let metadata = |split: &str| folder.join(split).join("metadata.jsonl");
    let read = || ["train", "validation"].map(|split| std::fs::read_to_string(metadata(split)).unwrap());
    let whole = read();
    // Before its parts are put together, while they are removed, and before its record says that it is whole.
    let left: [&[(&str, &str)]; 3] = [
        &[
            (".metadata/train-00000.jsonl", whole[0].as_str()),
            (".metadata/validation-00000.jsonl", whole[1].as_str()),
            (".metadata/test-00000.jsonl", ""),
        ],
        &[(".metadata-used/validation-00000.jsonl", whole[1].as_str())],
        &[],
    ];
    for files in left {
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        if folder.join(".metadata").exists() {
            std::fs::remove_file(metadata("train")).unwrap();
        }
        let record = folder.join("export.json");
        let mut broken: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
        broken["finished"] = false.into();
        std::fs::write(&record, broken.to_string()).unwrap();
        assert_eq!(finish().0["finished"], true, "{files:?}");
        assert!(read() == whole, "{files:?}");
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.filter(|name| name.to_string_lossy().starts_with('.')).count(), 0, "{files:?}");
    }
}

#[test]
fn answers_become_parquet_files_but_for_types_that_parquet_has_not() {
    let bench = Bench::new();
    let path = bench.path("answer.parquet");
    let write = |query: &str| bench.run(&["sql", query, "--format", "parquet", "--output", path.to_str().unwrap()]);
    let read = || ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path).unwrap());
    assert!(write("select 'fear' as expression, 2 as faces").status.success());
    assert_eq!(read().unwrap().build().unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 1);
    let refused = write("select interval '1 month' as age");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("MonthDayNano"), "{said}");
    assert_eq!(read().unwrap().build().unwrap().count(), 1, "the answer before is gone");
}

#[test]
fn a_query_that_fails_leaves_no_file_and_the_one_that_was_there() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("answers")).unwrap();
    let path = bench.path("answers/answer");
    let write =
        |query: &str, format: &str| bench.run(&["sql", query, "--format", format, "--output", path.to_str().unwrap()]);
    let names = || std::fs::read_dir(bench.path("answers")).unwrap().map(|entry| entry.unwrap().file_name());
    // Only the rows show that it cannot be answered.
    let fails = "select 1 / (2 - x) as y from (values (1), (2)) as t(x)";
    for format in ["table", "csv", "json", "jsonl", "arrow", "parquet"] {
        let failed = write(fails, format);
        assert_eq!(failed.status.code(), Some(1), "{format}: {}", String::from_utf8_lossy(&failed.stderr));
        assert_eq!(names().count(), 0, "{format}: {:?}", names().collect::<Vec<_>>());
        // As one that was killed leaves it.
        std::fs::write(bench.path("answers/answer.part"), [b'x'; 1 << 16]).unwrap();
        assert!(write("select 1 as y", format).status.success(), "{format}");
        let answer = std::fs::read(&path).unwrap();
        assert!((1..1 << 16).contains(&answer.len()), "{format}");
        assert!(!write(fails, format).status.success(), "{format}");
        assert_eq!((std::fs::read(&path).unwrap(), names().count()), (answer, 1), "{format}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn an_answer_keeps_links_and_goes_into_pipes() {
    let bench = Bench::new();
    std::fs::write(bench.path("answer.csv"), "before").unwrap();
    std::os::unix::fs::symlink("answer.csv", bench.path("link.csv")).unwrap();
    let write = |path: &str| bench.ok(&["sql", "select 1 as y", "--format", "csv", "--output", path]);
    write("link.csv");
    assert!(bench.path("link.csv").is_symlink());
    assert_eq!(std::fs::read_to_string(bench.path("answer.csv")).unwrap(), "y\n1\n");
    // Standard output is a pipe here.
    assert_eq!(write("/dev/stdout"), "y\n1\n");
}
