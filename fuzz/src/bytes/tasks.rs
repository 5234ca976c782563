//! Any bytes as tasks that Label Studio exported.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use marginalia_fuzz::{only_what_gets_out, read_all};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(init: only_what_gets_out(), |bytes: &[u8]| {
    let path = FOLDER.path().join("tasks.json");
    std::fs::write(&path, bytes).expect("a file");
    read_all("label-studio", &path, None);
});
