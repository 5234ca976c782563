//! Bytes to upright pixels.
//!
//! The order matters: format by content, limits by header, container whole, then the decoder, inside a wall against
//! panics. Conversions are decided once: 16-bit channels are scaled to 8, palettes and CMYK become RGB, transparency
//! lies over black, of an animation the first frame counts, and EXIF orientation is applied.

use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageError, ImageReader, RgbImage};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use crate::format::Format;
use crate::limits::Limits;
use crate::reject::Reason;

/// Decodes one image to upright RGB, 8 bits a channel.
///
/// # Errors
/// Whatever keeps these bytes from being an image within the limits; see [`Reason`].
pub fn decode(image: &[u8], limits: &Limits) -> Result<RgbImage, Reason> {
    decode_upright(image, limits).map(|(_, pixels)| pixels.into_rgb8())
}

/// Upright pixels as `ImageLuma8` where the file is grey and `ImageRgb8` otherwise, and the format they came in.
pub(crate) fn decode_upright(image: &[u8], limits: &Limits) -> Result<(Format, DynamicImage), Reason> {
    if image.len() as u64 > limits.max_file_bytes {
        return Err(Reason::TooManyBytes { bytes: image.len() as u64, limit: limits.max_file_bytes });
    }
    let format = Format::of(image)?;
    // A decoder that panics on odd bytes must cost this image and not the stream. It owns all it works on.
    let decoded = catch_unwind(AssertUnwindSafe(|| match format {
        Format::Jpeg => decode_jpeg(image, limits),
        other => decode_other(image, other, limits),
    }));
    let (mut pixels, orientation) = decoded.unwrap_or(Err(Reason::DecoderFailed { format }))?;
    pixels.apply_orientation(orientation);
    Ok((format, pixels))
}

/// JPEG goes to zune-jpeg directly: the `image` crate runs the same decoder in its lenient mode, which paints what is
/// missing grey, and parses the headers three times.
fn decode_jpeg(image: &[u8], limits: &Limits) -> Result<(DynamicImage, Orientation), Reason> {
    let options = DecoderOptions::default().set_strict_mode(true).set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(image), options);
    if decoder.decode_headers().is_err() {
        // Stray bytes between headers are strange and harmless. Damage in the pixels is met below, strict or not.
        let lenient = options.set_strict_mode(false);
        decoder = JpegDecoder::new_with_options(ZCursor::new(image), lenient);
        decoder.decode_headers().map_err(|error| jpeg_reason(image, &error))?;
        decoder.set_options(options);
    }
    let colors = decoder.input_colorspace().unwrap_or(ColorSpace::YCbCr);
    let grey = colors == ColorSpace::Luma;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let (width, height) = (width as u32, height as u32);
    check_size(width, height, if grey { 1 } else { 3 }, limits)?;
    if !Format::Jpeg.is_whole(image) {
        return Err(Reason::Truncated { format: Format::Jpeg });
    }
    let output = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(output));
    let pixels = decoder.decode().map_err(|error| jpeg_reason(image, &error))?;
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    let pixels = match grey {
        true => GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8),
        false => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
    };
    let pixels = pixels.ok_or(Reason::DecoderFailed { format: Format::Jpeg })?;
    Ok((pixels, orientation.unwrap_or(Orientation::NoTransforms)))
}

fn jpeg_reason(image: &[u8], error: &DecodeErrors) -> Reason {
    let format = Format::Jpeg;
    match error {
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => Reason::Truncated { format },
        _ if !format.is_whole(image) => Reason::Truncated { format },
        error => Reason::Corrupt { format, detail: one_line(error) },
    }
}

/// PNG, WebP and BMP through the `image` crate, with the checks that its decoders leave to the caller.
fn decode_other(image: &[u8], format: Format, limits: &Limits) -> Result<(DynamicImage, Orientation), Reason> {
    let reason = |error: ImageError| image_reason(image, format, &error);
    let mut reader = ImageReader::with_format(Cursor::new(image), format.of_image_crate());
    let mut bounds = image::Limits::default();
    bounds.max_alloc = Some(limits.max_decoded_bytes);
    reader.limits(bounds);
    let mut decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    let pixel_bytes = u64::from(decoder.color_type().bytes_per_pixel());
    check_size(width, height, pixel_bytes, limits)?;
    if !format.is_whole(image) {
        return Err(Reason::Truncated { format });
    }
    // Broken EXIF leaves the image as it lies; the pixels are what counts.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let pixels = DynamicImage::from_decoder(decoder).map_err(reason)?;
    Ok((to_grey_or_rgb(pixels), orientation))
}

fn image_reason(image: &[u8], format: Format, error: &ImageError) -> Reason {
    let cut = matches!(error, ImageError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof);
    if cut || !format.is_whole(image) {
        return Reason::Truncated { format };
    }
    Reason::Corrupt { format, detail: one_line(error) }
}

pub(crate) fn check_size(width: u32, height: u32, pixel_bytes: u64, limits: &Limits) -> Result<(), Reason> {
    if width > limits.max_side || height > limits.max_side {
        return Err(Reason::TooLarge { width, height, limit: limits.max_side });
    }
    let bytes = u64::from(width) * u64::from(height) * pixel_bytes;
    if bytes > limits.max_decoded_bytes {
        return Err(Reason::TooManyDecodedBytes { bytes, limit: limits.max_decoded_bytes });
    }
    Ok(())
}

/// Grey stays grey, everything else becomes RGB; transparency is laid over black.
pub(crate) fn to_grey_or_rgb(pixels: DynamicImage) -> DynamicImage {
    match pixels {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) => pixels,
        DynamicImage::ImageLuma16(_) => DynamicImage::ImageLuma8(pixels.into_luma8()),
        DynamicImage::ImageLumaA8(_) | DynamicImage::ImageLumaA16(_) => {
            let grey = pixels.into_luma_alpha8();
            let (width, height) = grey.dimensions();
            DynamicImage::ImageLuma8(GrayImage::from_fn(width, height, |x, y| {
                let [value, alpha] = grey.get_pixel(x, y).0;
                image::Luma([over_black(value, alpha)])
            }))
        }
        pixels if pixels.color().has_alpha() => {
            let rgba = pixels.into_rgba8();
            let (width, height) = rgba.dimensions();
            DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
                let [r, g, b, alpha] = rgba.get_pixel(x, y).0;
                image::Rgb([r, g, b].map(|value| over_black(value, alpha)))
            }))
        }
        pixels => DynamicImage::ImageRgb8(pixels.into_rgb8()),
    }
}

fn over_black(value: u8, alpha: u8) -> u8 {
    ((u16::from(value) * u16::from(alpha) + 127) / 255) as u8
}

/// Decoders' messages may hold line breaks and any length; a table cell should not.
pub(crate) fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect()
}
