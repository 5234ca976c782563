//! Pixels to PNG, always with the same setting, so that the same pixels always get the same `face_id`.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageEncoder};

/// Encodes as PNG, 8 bits a channel: grey where red, green and blue agree in every pixel, RGB otherwise.
///
/// The faces that readers make (csv pixels, crops) go through here. The setting is part of their identity: change it,
/// and the same face gets another id.
pub fn encode_png(image: &DynamicImage) -> Vec<u8> {
    match image {
        DynamicImage::ImageLuma8(grey) => encode_grey_png(grey),
        other => {
            let rgb = other.to_rgb8();
            if rgb.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]) {
                let grey = rgb.pixels().map(|pixel| pixel.0[0]).collect();
                return write_png(grey, rgb.width(), rgb.height(), ExtendedColorType::L8);
            }
            let (width, height) = rgb.dimensions();
            write_png(rgb.into_raw(), width, height, ExtendedColorType::Rgb8)
        }
    }
}

pub(crate) fn encode_grey_png(grey: &GrayImage) -> Vec<u8> {
    write_png(grey.as_raw().clone(), grey.width(), grey.height(), ExtendedColorType::L8)
}

fn write_png(pixels: Vec<u8>, width: u32, height: u32, color: ExtendedColorType) -> Vec<u8> {
    let mut png = Vec::with_capacity(pixels.len() / 2 + 128);
    // A Vec takes every write, and the buffer has the size that the header says: there is nothing to fail.
    PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::Adaptive)
        .write_image(&pixels, width, height, color)
        .unwrap_or_else(|error| unreachable!("PNG into memory: {error}"));
    png
}
