//! Images as text in a table: FER2013's column `pixels`.

use image::GrayImage;

use crate::reject::Reason;

/// Width and height.
const SIDE: u32 = 48;

/// 2,304 numbers from 0 to 255, row by row.
pub(crate) fn parse_pixels(text: &[u8]) -> std::result::Result<GrayImage, Reason> {
    let invalid = |detail: String| Reason::InvalidRow { detail };
    let wanted = (SIDE * SIDE) as usize;
    let mut pixels = Vec::with_capacity(wanted);
    for number in text.split(u8::is_ascii_whitespace).filter(|number| !number.is_empty()) {
        let value = std::str::from_utf8(number).ok().and_then(|number| number.parse::<u8>().ok());
        let value = value.ok_or_else(|| {
            let number: String = String::from_utf8_lossy(number).chars().take(20).collect();
            invalid(format!("`{number}` is no pixel; pixels are whole numbers from 0 to 255"))
        })?;
        if pixels.len() == wanted {
            return Err(invalid(format!("more than {wanted} pixels")));
        }
        pixels.push(value);
    }
    let count = pixels.len();
    GrayImage::from_raw(SIDE, SIDE, pixels).ok_or_else(|| invalid(format!("{count} pixels instead of {wanted}")))
}
