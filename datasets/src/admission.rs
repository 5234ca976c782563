//! The door: bytes in, a [`Face`] or a [`Reason`] out. Everything that is known about an image by looking at it alone
//! is found here, with one decode.

use crate::decode::decode_upright;
use crate::format::Format;
use crate::limits::Limits;
use crate::perceptual::perceptual_hash;
use crate::reject::Reason;

/// One admitted image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// BLAKE3 of `image`, 64 hexadecimal digits. Equal bytes are one face.
    pub face_id: String,
    /// The bytes as they came.
    pub image: Vec<u8>,
    pub format: Format,
    /// Pixels across, upright (after EXIF orientation).
    pub width: u32,
    /// Pixels down, upright.
    pub height: u32,
    /// See [`perceptual_hash`].
    pub perceptual_hash: u64,
}

/// Looks at an image and lets it in, or says why not.
///
/// Never panics, allocates nothing in proportion to what a header merely claims, and refuses what a decoder would
/// silently repair (a file cut off in the middle).
///
/// # Errors
/// The reason for the `rejects` table.
pub fn admit(image: Vec<u8>, limits: &Limits) -> Result<Face, Reason> {
    let (format, pixels) = decode_upright(&image, limits)?;
    let (width, height, limit) = (pixels.width(), pixels.height(), limits.min_side);
    if width.min(height) < limit {
        return Err(Reason::TooSmall { width, height, limit });
    }
    Ok(Face { face_id: face_id(&image), format, width, height, perceptual_hash: perceptual_hash(&pixels), image })
}

/// The id that an image has or would have: BLAKE3 of its bytes in hexadecimal.
pub fn face_id(image: &[u8]) -> String {
    blake3::hash(image).to_hex().to_string()
}
