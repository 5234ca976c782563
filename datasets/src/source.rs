//! Paths as text. A table column is UTF-8, a file name on Unix is any bytes: bytes that are not UTF-8, and `%` itself,
//! are percent-encoded, so that every path has one text and the text leads back to the path.

use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The text of a path. Equal to the path itself unless it holds `%` or bytes that are not UTF-8.
pub fn encode_path(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(at) = rest.find('%') {
            text.push_str(&rest[..at]);
            text.push_str("%25");
            rest = &rest[at + 1..];
        }
        text.push_str(rest);
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// The path of a text made by [`encode_path`]. A `%` that two hexadecimal digits do not follow stands for itself.
pub fn decode_path(text: &str) -> PathBuf {
    let bytes = text.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let encoded = match bytes[i..] {
            [b'%', high, low, ..] => hex_digit(high).zip(hex_digit(low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        path.push(encoded.unwrap_or(bytes[i]));
        i += if encoded.is_some() { 3 } else { 1 };
    }
    PathBuf::from(os_string(path))
}

/// The source of an entry inside an archive: `archive.tar!/inner/path`.
pub(crate) fn archive_source(archive: &Path, inner: &Path) -> String {
    format!("{}!/{}", encode_path(archive), encode_path(inner))
}

#[cfg(unix)]
pub(crate) fn os_string(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
pub(crate) fn os_string(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}
