//! Any bytes as an archive of a data set of any format: tar, tar.gz or zip by the first byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use marginalia_datasets::readers;
use marginalia_fuzz::{only_what_gets_out, read_all};

fuzz_target!(init: only_what_gets_out(), |bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let name = ["set.tar", "set.tar.gz", "set.zip"][usize::from(*kind) % 3];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    readers().iter().for_each(|reader| read_all(reader.name(), &path, None));
});
