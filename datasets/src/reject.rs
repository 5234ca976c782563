//! Why one input was refused. A reject is a value that goes into the `rejects` table; it never stops the stream.

use std::fmt;

use crate::format::Format;

/// One refused input: where it came from, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Encoded path, as in [`Record::source`](crate::Record::source).
    pub source: String,
    pub reason: Reason,
}

impl Reject {
    /// The reason's stable name, see [`Reason::code`].
    pub fn code(&self) -> &'static str {
        self.reason.code()
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.reason)
    }
}

/// Why an input is no face for us. `Display` is for people, [`code`](Reason::code) for tables and queries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    // About the bytes.
    #[error("the file is empty")]
    Empty,
    #[error("the file has {bytes} bytes, more than the limit of {limit}")]
    TooManyBytes { bytes: u64, limit: u64 },
    #[error("the content is not an image (JPEG, PNG, WebP or BMP)")]
    NotAnImage,
    #[error("{format} images are not read; convert it to JPEG, PNG, WebP or BMP")]
    UnsupportedFormat { format: String },
    #[error("the {format} image is cut off: its end is missing")]
    Truncated { format: Format },
    #[error("the {format} image is damaged: {detail}")]
    Corrupt { format: Format, detail: String },
    #[error("the image is {width}×{height} pixels, more than {limit} on a side")]
    TooLarge { width: u32, height: u32, limit: u32 },
    #[error("the image is {width}×{height} pixels; a face has at least {limit} on each side")]
    TooSmall { width: u32, height: u32, limit: u32 },
    #[error("the image needs {bytes} bytes when decoded, more than the limit of {limit}")]
    TooManyDecodedBytes { bytes: u64, limit: u64 },
    #[error("the {format} decoder failed on this image")]
    DecoderFailed { format: Format },
    #[error("this TIFF cannot be converted: {detail}; save it as uncompressed grey, palette or RGB, or as PNG")]
    TiffNotConverted { detail: String },
    // About the file.
    #[error("the file cannot be read: {detail}")]
    Unreadable { detail: String },
    #[error("this is not a regular file")]
    NotAFile,
    #[error("the file changed while it was read")]
    Changed,
    #[error("this face was forgotten on request and is not taken in again")]
    Forgotten,
    // About what the data set says of it.
    #[error("the file name does not say what the face shows: {detail}")]
    InvalidName { detail: String },
    #[error("the image has no label that can be read: {detail}")]
    NoLabel { detail: String },
    // About a row of a table.
    #[error("the row does not work: {detail}")]
    InvalidRow { detail: String },
    #[error("the path leaves the folder of its table")]
    OutsideFolder,
    #[error("the box {bbox:?} (x, y, width, height) holds nothing of the image of {width}×{height} pixels")]
    InvalidBox { bbox: [i64; 4], width: u32, height: u32 },
}

impl Reason {
    /// A stable snake_case name, one per kind of reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooManyBytes { .. } => "too_many_bytes",
            Self::NotAnImage => "not_an_image",
            Self::UnsupportedFormat { .. } => "unsupported_format",
            Self::Truncated { .. } => "truncated",
            Self::Corrupt { .. } => "corrupt",
            Self::TooLarge { .. } => "too_large",
            Self::TooSmall { .. } => "too_small",
            Self::TooManyDecodedBytes { .. } => "too_many_decoded_bytes",
            Self::DecoderFailed { .. } => "decoder_failed",
            Self::TiffNotConverted { .. } => "tiff_not_converted",
            Self::Unreadable { .. } => "unreadable",
            Self::NotAFile => "not_a_file",
            Self::Changed => "changed",
            Self::Forgotten => "forgotten",
            Self::InvalidName { .. } => "invalid_name",
            Self::NoLabel { .. } => "no_label",
            Self::InvalidRow { .. } => "invalid_row",
            Self::OutsideFolder => "outside_folder",
            Self::InvalidBox { .. } => "invalid_box",
        }
    }
}
