//! The real binary, run as a user runs it, on real folders of synthetic faces.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use marginalia_datasets::{Classes, SyntheticFaces};
use serde_json::Value;

/// A folder with a corpus in it, and the binary to work on it.
pub struct Bench {
    pub folder: tempfile::TempDir,
}

impl Bench {
    /// An initialised corpus whose rounds take a second.
    pub fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().expect("a folder") };
        bench.ok(&["init", bench.corpus().to_str().expect("UTF-8")]);
        let path = bench.corpus().join("marginalia.toml");
        let text = std::fs::read_to_string(&path).expect("the config");
        let small = "[train]\nbackbone = \"resnet-tiny\"\nimage_size = 24\nepochs_per_round = 2\nsteps_per_epoch = 3\n\
                     batch_labelled = 4\nbatch_unlabelled = 4";
        // Three steps teach nothing: the gate would judge noise.
        let text = text.replace("[train]", small).replace("gate_macro_f1_loss = 0.05", "gate_macro_f1_loss = 1.0");
        std::fs::write(&path, text).expect("the config");
        bench
    }

    /// The same with 42 labelled faces, and 30 without a label in `inbox`.
    pub fn with_faces() -> Self {
        let bench = Self::new();
        let (labelled, inbox) = (bench.path("labelled"), bench.path("inbox"));
        write_labelled(&labelled, 1, 42);
        write_faces(&inbox, 2, 0..30);
        bench.ok(&["import", "imagefolder", labelled.to_str().expect("UTF-8")]);
        bench.ok(&["ingest", inbox.to_str().expect("UTF-8")]);
        bench
    }

    pub fn corpus(&self) -> PathBuf {
        self.folder.path().join("corpus")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_marginalia"));
        command
            .args(args)
            .env("MARGINALIA_CORPUS", self.corpus())
            .env_remove("RUST_LOG")
            .current_dir(self.folder.path());
        command
    }

    /// Runs to the end.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// Runs to the end, which must be a good one; returns stdout.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs with `--json`; returns the last document.
    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.ok(&[args, &["--json"]].concat());
        let last = out.lines().last().unwrap_or_else(|| panic!("{args:?} printed nothing"));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{args:?}: {error}: {last}"))
    }

    /// Runs a query; returns its rows.
    pub fn sql(&self, query: &str) -> Vec<Value> {
        let rows = self.json(&["sql", query]);
        rows.as_array().expect("rows").clone()
    }

    /// One number.
    pub fn count(&self, query: &str) -> u64 {
        self.sql(query)[0].as_object().expect("a row").values().next().expect("a column").as_u64().expect("a count")
    }

    /// Starts and does not wait.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs")
    }
}

/// Writes faces as PNG files, flat.
pub fn write_faces(folder: &Path, seed: u64, range: std::ops::Range<u64>) {
    std::fs::create_dir_all(folder).expect("a folder");
    let faces = SyntheticFaces::new(seed, 24, &Classes::standard());
    for i in range {
        std::fs::write(folder.join(format!("{i:06}.png")), faces.face(i).png()).expect("a file");
    }
}

/// Writes faces into folders by class.
pub fn write_labelled(folder: &Path, seed: u64, count: u64) {
    let faces = SyntheticFaces::new(seed, 24, &Classes::standard());
    for i in 0..count {
        let face = faces.face(i);
        let class = folder.join(&face.class);
        std::fs::create_dir_all(&class).expect("a folder");
        std::fs::write(class.join(format!("{i:06}.png")), face.png()).expect("a file");
    }
}

/// Python with the libraries of `tests/requirements.txt`, where the Makefile puts it.
pub fn python() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    let python = binary.ancestors().nth(3)?.join("clients/venv/bin/python");
    python.exists().then_some(python)
}
