//! Paths as text, and reading files safely.

use std::path::{Path, PathBuf};

use marginalia_datasets::{Limits, Reason, decode_path, encode_path, read_file};
use proptest::prelude::*;

use crate::support::{folder, jpeg};

#[test]
fn plain_paths_are_their_own_text() {
    assert_eq!(encode_path(Path::new("train/Übung 1.jpg")), "train/Übung 1.jpg");
    assert_eq!(encode_path(Path::new("100%.jpg")), "100%25.jpg");
    assert_eq!(decode_path("100%.jpg"), PathBuf::from("100%.jpg"));
}

#[cfg(unix)]
#[test]
fn bytes_that_are_not_utf8_are_percent_encoded() {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(b"a\xFFb\xC3.jpg"));
    assert_eq!(encode_path(path), "a%FFb%C3.jpg");
    assert_eq!(decode_path("a%FFb%C3.jpg"), path);
}

#[cfg(unix)]
proptest! {
    #[test]
    fn every_path_survives_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(&bytes));
        prop_assert_eq!(decode_path(&encode_path(path)), path);
    }

    #[test]
    fn paths_of_percents_and_digits_survive_encoding(text in "[%0-9A-Fa-f/é]{0,20}") {
        prop_assert_eq!(decode_path(&encode_path(Path::new(&text))), PathBuf::from(&text));
    }
}

#[test]
fn a_file_comes_with_its_facts() {
    let folder = folder(&[("a.jpg", jpeg(1))]);
    let content = read_file(&folder.path().join("a.jpg"), &Limits::default()).unwrap();
    assert_eq!(content.bytes, jpeg(1));
    assert_eq!(content.size, jpeg(1).len() as u64);
    assert!(content.mtime.is_some());
    assert_eq!(content.inode.is_some(), cfg!(unix));
}

#[test]
fn files_over_the_limit_and_missing_files_are_refused() {
    let folder = folder(&[("a.jpg", vec![0; 100])]);
    let limits = Limits { max_file_bytes: 99, ..Limits::default() };
    let refused = read_file(&folder.path().join("a.jpg"), &limits);
    assert_eq!(refused, Err(Reason::TooManyBytes { bytes: 100, limit: 99 }));
    let missing = read_file(&folder.path().join("b.jpg"), &limits).unwrap_err();
    assert_eq!(missing.code(), "unreadable");
    assert_eq!(read_file(folder.path(), &limits), Err(Reason::NotAFile));
}

#[cfg(unix)]
#[test]
fn links_and_pipes_are_not_read() {
    let folder = folder(&[("a.jpg", jpeg(1))]);
    let (link, pipe) = (folder.path().join("link.jpg"), folder.path().join("pipe.jpg"));
    std::os::unix::fs::symlink(folder.path().join("a.jpg"), &link).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(read_file(&link, &Limits::default()), Err(Reason::NotAFile));
    assert_eq!(read_file(&pipe, &Limits::default()), Err(Reason::NotAFile));
}
