//! Which files might be faces. Names only rule out what is certainly none; the bytes have the last word.

use std::ffi::OsStr;
use std::path::Path;

use crate::entries::Entry;
use crate::file::FileContent;
use crate::format::Format;
use crate::limits::Limits;
use crate::reject::Reason;

/// Why a file or folder of this name is no part of any data set, or `None` if it may be one.
pub fn skip_reason(name: &OsStr) -> Option<&'static str> {
    match name.as_encoded_bytes() {
        b"__MACOSX" | b"Thumbs.db" | b"desktop.ini" => Some("a file of the operating system"),
        [b'.', ..] => Some("a hidden file"),
        _ => None,
    }
}

/// Whether a file calls itself an image, of a format that is read here or not.
pub fn has_image_extension(path: &Path) -> bool {
    const EXTENSIONS: [&str; 15] = [
        "jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff", "avif", "heic", "pgm",
    ];
    path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// What a file turned out to be.
#[derive(Debug)]
pub enum Candidate {
    /// Calls itself an image, or starts like one.
    Image(FileContent),
    /// Neither by name nor by content.
    Other,
}

impl Candidate {
    /// Reads a file and says which it is. A file without an image's name is only a candidate if its bytes start like
    /// an image, and passed over without a word if it cannot be read.
    ///
    /// # Errors
    /// Why a file with an image's name cannot be read.
    pub fn read(entry: Entry<'_>, limits: &Limits) -> Result<Self, Reason> {
        let named = has_image_extension(&entry.path);
        match entry.read(limits) {
            Ok(content) if named => Ok(Self::Image(content)),
            Ok(content) => Ok(match Format::of(&content.bytes) {
                Err(Reason::NotAnImage | Reason::Empty | Reason::Truncated { .. }) => Self::Other,
                _ => Self::Image(content),
            }),
            Err(reason) if named => Err(reason),
            Err(_) => Ok(Self::Other),
        }
    }
}

/// Why a file was passed over that is an image neither by name nor by content.
pub(crate) const NO_IMAGE: &str = "not an image by name or content";
