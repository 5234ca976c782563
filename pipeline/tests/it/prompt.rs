//! The prompt of `sql`, typed at through a real terminal.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::binary::{Bench, write_faces};

/// What appeared after each line; a line may name after `=>` what to wait for, `^C` before it presses that meanwhile.
fn typed(bench: &Bench, lines: &[&str]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/prompt.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(env!("CARGO_BIN_EXE_marginalia"))
        .args(lines)
        .env("MARGINALIA_CORPUS", bench.corpus())
        .env("XDG_STATE_HOME", bench.path("state"))
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(said["status"], 0, "{said}");
    said["answers"]
        .as_array()
        .expect("answers")
        .iter()
        .map(|answer| answer.as_str().expect("text").to_owned())
        .collect()
}

#[test]
fn statements_commands_history_and_ctrl_c() {
    let bench = Bench::new();
    write_faces(&bench.path("inbox"), 1, 0..3);
    bench.ok(&["ingest", bench.path("inbox").to_str().unwrap()]);
    let file = bench.path("answers.csv");
    std::fs::write(&file, "what stood there").unwrap();
    let to_file = format!("\\\\o {}\\r", file.display());
    let answers = typed(
        &bench,
        &[
            "select count(*) as faces\\rfrom faces;\\r=>| 3 ",
            "select 1 as one\\r\\r=>| 1 ",
            "\\\\d\\r=>current_labels",
            "\\\\d queue\\r=>why it stands there",
            "\\\\df\\r=>krippendorff_alpha",
            "\\\\d nowhere\\r=>no table or view nowhere",
            "\\\\what\\r=>no command",
            "select * from nowhere;\\r=>no such table: nowhere",
            "\\\\timing\\r=>times are shown",
            "select 2;\\r=> ms",
            // Completion: the only name that begins so.
            "select * from hardest_c\\t limit 0;\\r=>mistaken_for",
            "\\\\format csv\\r",
            &to_file,
            "select format, width from faces limit 1;\\r",
            // Only the rows show that it cannot be answered.
            "select 1 / (2 - x) as y from (values (1), (2)) as t(x);\\r=>Divide by zero",
            "select 3 as last;\\r",
            "\\\\o\\r",
            // A query without end, and the next one.
            "^C select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b;\\r=>stopped",
            "select 40 + 2 as next;\\r=>42",
        ],
    );
    assert!(answers.last().unwrap().contains("42"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "format,width\npng,24\nlast\n3\n");
    assert!(!bench.path("answers.csv.part").exists());
    let history = std::fs::read_to_string(bench.path("state/marginalia/sql_history")).unwrap();
    assert!(history.contains("select 40 + 2 as next"), "{history}");
}
