//! Images small enough to show by the hundred.

use image::DynamicImage;

use crate::decode::decode_upright;
use crate::encode::encode_png;
use crate::limits::Limits;
use crate::reject::Reason;

/// The image as a PNG of at most `side` pixels, upright, in its own proportions; none where it is no larger anyway.
///
/// # Errors
/// As [`decode`](crate::decode).
pub fn thumbnail(image: &[u8], side: u32, limits: &Limits) -> Result<Option<Vec<u8>>, Reason> {
    let (_, pixels) = decode_upright(image, limits)?;
    if pixels.width().max(pixels.height()) <= side {
        return Ok(None);
    }
    let small: DynamicImage = pixels.thumbnail(side, side);
    Ok(Some(encode_png(&small)))
}
