//! TIFF, for data sets that come as such. TIFF is not among the formats of admission: readers turn it into a PNG first.
//!
//! The `image` crate decodes, but knows no palettes: a palette image (TIFF 6.0, section 5) is decoded as the grey image
//! of its indices, and the colours are looked up here.

use std::io::Cursor;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Rgb, RgbImage};

use crate::decode::{check_size, one_line, to_grey_or_rgb};
use crate::limits::Limits;
use crate::reject::Reason;

/// Whether bytes start like a TIFF.
pub(crate) fn is_tiff(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*")
}

/// Upright pixels of the first image in the file, grey or RGB, 8 bits a channel.
pub(crate) fn decode_tiff(file: &[u8], limits: &Limits) -> Result<DynamicImage, Reason> {
    if file.len() as u64 > limits.max_file_bytes {
        return Err(Reason::TooManyBytes { bytes: file.len() as u64, limit: limits.max_file_bytes });
    }
    // As for every format: a decoder that panics costs this image and not the stream.
    let decoded = catch_unwind(AssertUnwindSafe(|| match indexed(file) {
        None => decode(file, limits),
        Some(indexed) => decode_indices(file, &indexed, limits),
    }));
    let (mut pixels, orientation) = decoded.unwrap_or_else(|_| Err(not_converted("its decoder failed")))?;
    pixels.apply_orientation(orientation);
    Ok(pixels)
}

fn decode(file: &[u8], limits: &Limits) -> Result<(DynamicImage, Orientation), Reason> {
    let mut reader = ImageReader::with_format(Cursor::new(file), ImageFormat::Tiff);
    let mut bounds = image::Limits::default();
    bounds.max_alloc = Some(limits.max_decoded_bytes);
    reader.limits(bounds);
    let mut decoder = reader.into_decoder().map_err(not_converted)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, u64::from(decoder.color_type().bytes_per_pixel()), limits)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let pixels = DynamicImage::from_decoder(decoder).map_err(not_converted)?;
    Ok((to_grey_or_rgb(pixels), orientation))
}

fn decode_indices(file: &[u8], indexed: &Indexed, limits: &Limits) -> Result<(DynamicImage, Orientation), Reason> {
    let colors = indexed.palette(file).ok_or_else(|| not_converted("it has no palette of 256 colours"))?;
    let mut grey = file.to_vec();
    let black_is_zero = indexed.order.bytes(1);
    grey[indexed.photometric.clone()].copy_from_slice(&black_is_zero);
    let (indices, orientation) = decode(&grey, limits)?;
    let indices = indices.into_luma8();
    let pixels = RgbImage::from_fn(indices.width(), indices.height(), |x, y| {
        Rgb(colors[usize::from(indices.get_pixel(x, y).0[0])])
    });
    Ok((DynamicImage::ImageRgb8(pixels), orientation))
}

/// What the first directory of an image says whose pixels are indices into a palette.
struct Indexed {
    order: ByteOrder,
    /// Where in the file stands how pixels are to be understood.
    photometric: Range<usize>,
    /// Where in the file the entry of the palette stands.
    color_map: Option<usize>,
}

fn indexed(file: &[u8]) -> Option<Indexed> {
    const PHOTOMETRIC: u16 = 262;
    const COLOR_MAP: u16 = 320;
    const PALETTE: u16 = 3;
    let order = if file.starts_with(b"II") { ByteOrder::Little } else { ByteOrder::Big };
    let directory = order.long(file, 4)? as usize;
    let entries = usize::from(order.short(file, directory)?);
    let at = |tag: u16| (0..entries).map(|i| directory + 2 + 12 * i).find(|&at| order.short(file, at) == Some(tag));
    let photometric = at(PHOTOMETRIC)? + 8;
    (order.short(file, photometric)? == PALETTE).then(|| Indexed {
        order,
        photometric: photometric..photometric + 2,
        color_map: at(COLOR_MAP),
    })
}

impl Indexed {
    /// The colours, where there are 256 of them.
    fn palette(&self, file: &[u8]) -> Option<Vec<[u8; 3]>> {
        const SHORT: u16 = 3;
        let (order, map) = (self.order, self.color_map?);
        if order.short(file, map + 2)? != SHORT || order.long(file, map + 4)? != 3 * 256 {
            return None;
        }
        let values = order.long(file, map + 8)? as usize;
        // All reds, then all greens, then all blues, 16 bits each.
        let value = |channel: usize, i: usize| order.short(file, values.checked_add(2 * (256 * channel + i))?);
        let channel = |channel, i| Some((value(channel, i)? >> 8) as u8);
        (0..256).map(|i| Some([channel(0, i)?, channel(1, i)?, channel(2, i)?])).collect()
    }
}

#[derive(Clone, Copy)]
enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    fn short(self, file: &[u8], at: usize) -> Option<u16> {
        let bytes = file.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }

    fn long(self, file: &[u8], at: usize) -> Option<u32> {
        let bytes = file.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }

    fn bytes(self, short: u16) -> [u8; 2] {
        match self {
            Self::Little => short.to_le_bytes(),
            Self::Big => short.to_be_bytes(),
        }
    }
}

fn not_converted(error: impl std::fmt::Display) -> Reason {
    Reason::TiffNotConverted { detail: one_line(&error) }
}
