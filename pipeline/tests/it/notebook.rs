//! docs/notebook.md, run from top to bottom by Python on a corpus of two real rounds.

use std::process::Command;

use crate::binary::{Bench, python, write_labelled};

/// The page's blocks as one program: Python as it stands, shell as calls of a shell.
fn program(page: &str) -> String {
    let mut program = String::from("import subprocess\n");
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (kind, after) = after.split_once('\n').expect("a block begins with its kind");
        let (block, after) = after.split_once("\n```\n").expect("a block ends");
        match kind {
            "python" => program.push_str(block),
            "sh" => program.push_str(&format!("subprocess.run({block:?}, shell=True, check=True)")),
            other => panic!("a block of {other}"),
        }
        program.push('\n');
        rest = after;
    }
    program
}

#[test]
fn the_notebook_runs_on_a_real_corpus() {
    let Some(python) = python() else {
        println!("SKIPPED (no pylance: `make tools` installs it)");
        return;
    };
    let bench = Bench::new();
    let faces = bench.path("faces");
    write_labelled(&faces, 3, 140);
    bench.ok(&["import", "imagefolder", faces.to_str().unwrap(), "--labels", "per-class:4"]);
    bench.ok(&["train"]);
    bench.ok(&["train"]);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/notebook.md");
    let program = program(&std::fs::read_to_string(page).unwrap());
    let folder = std::path::Path::new(env!("CARGO_BIN_EXE_marginalia")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new(python)
        .args(["-c", &program])
        .current_dir(bench.folder.path())
        .env("PATH", path)
        .env("MPLCONFIGDIR", bench.path("matplotlib"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // What Python counted is what the views say.
    let stored = bench.count("select count(*) from faces");
    let scored = bench.count("select count(*) from predictions where round = 2");
    let labelled = bench.count("select count(*) from corpus where expression is not null");
    for line in [
        format!("{stored} faces in version"),
        format!("{scored} faces scored by round 2"),
        format!("{labelled} labelled faces:"),
    ] {
        assert!(said.contains(&line), "no {line:?} in {said}");
    }
    let drawing = std::fs::read_to_string(bench.path("margins.svg")).unwrap();
    assert!(drawing.contains("<svg") && drawing.len() > 5000, "{} bytes", drawing.len());
}
