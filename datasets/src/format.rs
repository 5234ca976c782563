//! What kind of image some bytes are, and whether its container is whole. Names and extensions are not believed.

use std::fmt;

use image::ImageFormat;

use crate::reject::Reason;

/// The image formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Jpeg,
    Png,
    WebP,
    Bmp,
}

impl Format {
    /// The word stored in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Bmp => "bmp",
        }
    }

    /// Usual extension of a file of this format, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            other => other.as_str(),
        }
    }

    /// The format by the first bytes.
    pub fn of(bytes: &[u8]) -> Result<Self, Reason> {
        if bytes.is_empty() {
            return Err(Reason::Empty);
        }
        match image::guess_format(bytes) {
            Ok(ImageFormat::Jpeg) => Ok(Self::Jpeg),
            Ok(ImageFormat::Png) => Ok(Self::Png),
            Ok(ImageFormat::WebP) => Ok(Self::WebP),
            Ok(ImageFormat::Bmp) => Ok(Self::Bmp),
            Ok(other) => Err(Reason::UnsupportedFormat { format: format!("{other:?}").to_uppercase() }),
            // Less than the signature of something that would have become an image.
            Err(_) => match SIGNATURES.iter().find(|(signature, _)| signature.starts_with(bytes)) {
                Some((_, format)) => Err(Reason::Truncated { format: *format }),
                None if bytes.starts_with(b"RIFF") && bytes.len() < 12 => Err(Reason::Truncated { format: Self::WebP }),
                None => Err(Reason::NotAnImage),
            },
        }
    }

    /// Whether the container reaches its own end: decoders fill what is missing with grey or leave it out in silence,
    /// and half-written files look like that. Bytes after the end do no harm.
    pub(crate) fn is_whole(self, bytes: &[u8]) -> bool {
        match self {
            Self::Jpeg => jpeg_end(bytes).is_some(),
            Self::Png => png_end(bytes).is_some(),
            Self::WebP => webp_end(bytes).is_some_and(|end| end <= bytes.len()),
            // The length in a BMP header is often wrong; its decoder reports missing rows.
            Self::Bmp => true,
        }
    }

    pub(crate) fn of_image_crate(self) -> ImageFormat {
        match self {
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Png => ImageFormat::Png,
            Self::WebP => ImageFormat::WebP,
            Self::Bmp => ImageFormat::Bmp,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
        })
    }
}

/// First bytes of each format, to tell a file cut inside them from one that is no image at all.
const SIGNATURES: [(&[u8], Format); 4] = [
    (&[0xFF, 0xD8, 0xFF], Format::Jpeg),
    (b"\x89PNG\r\n\x1a\n", Format::Png),
    (b"RIFF", Format::WebP),
    (b"BM", Format::Bmp),
];

/// Position after the end marker of a JPEG, or `None` where the data stops before it (ITU T.81, B.1).
///
/// Segments are skipped by their lengths, so an end marker inside an embedded thumbnail does not count.
fn jpeg_end(bytes: &[u8]) -> Option<usize> {
    const START_OF_SCAN: u8 = 0xDA;
    const END: u8 = 0xD9;
    let mut at = 2;
    loop {
        // Entropy-coded data, or stray bytes that decoders skip: on to the next marker.
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        let marker = *bytes.get(at + 1)?;
        match marker {
            0xFF => at += 1,
            // A stuffed zero, a restart or a stand-alone marker.
            0x00 | 0x01 | 0xD0..=0xD8 => at += 2,
            END => return Some(at + 2),
            _ => {
                let length = usize::from(u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]));
                at += 2 + length.max(2);
                if marker == START_OF_SCAN && at >= bytes.len() {
                    return None;
                }
            }
        }
    }
}

/// Position after the IEND chunk of a PNG (W3C PNG, section 5.3: length, type, data, checksum).
fn png_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 8;
    loop {
        let head = bytes.get(at..at + 8)?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        at = at.checked_add(length)?.checked_add(12)?;
        if at > bytes.len() {
            return None;
        }
        if &head[4..] == b"IEND" {
            return Some(at);
        }
    }
}

/// Where the RIFF header of a WebP says that it ends.
fn webp_end(bytes: &[u8]) -> Option<usize> {
    let size = bytes.get(4..8)?;
    Some(8 + u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize)
}
