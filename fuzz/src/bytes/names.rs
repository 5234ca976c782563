//! Any text as what people and data sets write: classes, splits, paths.

#![no_main]

use libfuzzer_sys::fuzz_target;
use marginalia_datasets::{ClassMap, Classes, Split, decode_path, encode_path};
use marginalia_fuzz::only_what_gets_out;

fuzz_target!(init: only_what_gets_out(), |bytes: &[u8]| {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(bytes));
    assert_eq!(decode_path(&encode_path(path)), path, "a path does not come back from its encoding");
    let text = String::from_utf8_lossy(bytes);
    let _ = Split::parse(&text);
    let standard = Classes::standard();
    if let Ok(class) = standard.resolve(&text) {
        assert!(standard.index(class).is_some());
    }
    if let Ok(classes) = Classes::new(text.split(',')) {
        for (i, name) in classes.names().iter().enumerate() {
            assert_eq!(classes.index(name), Some(i), "a class is not found by its own name");
        }
    }
    for map in ClassMap::all() {
        let number = text.len() as i64 - 8;
        assert!(map.class(number).is_none() || map.ignored(number).is_none());
    }
});
