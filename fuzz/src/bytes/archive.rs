//! Any bytes as an archive of an image folder: tar, tar.gz or zip by the first byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use marginalia_fuzz::{only_what_gets_out, read_all};

fuzz_target!(init: only_what_gets_out(), |bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let name = ["set.tar", "set.tar.gz", "set.zip"][usize::from(*kind) % 3];
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    read_all("imagefolder", &path, None);
    read_all("fer2013", &path, None);
});
