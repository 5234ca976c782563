//! Any text as a table of images: csv, tsv or JSON lines by the first byte, as a manifest and as FER2013.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use marginalia_datasets::ClassMap;
use marginalia_fuzz::{only_what_gets_out, read_all};

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));

fuzz_target!(init: only_what_gets_out(), |bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let name = ["set.csv", "set.tsv", "set.jsonl"][usize::from(*kind) % 3];
    let path = FOLDER.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    for numbers_mean in std::iter::once(None).chain(ClassMap::all().iter().map(Some)) {
        read_all("manifest", &path, numbers_mean);
    }
    read_all("fer2013", &path, None);
    std::fs::remove_file(&path).expect("the file");
});
