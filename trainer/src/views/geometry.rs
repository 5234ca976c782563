//! Resize, flip and padded crop.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

/// Resizes to `side` × `side` with PIL's antialiased bilinear filter. A face of another shape is squeezed, so that
/// nothing of it is lost; one that has the size already is copied.
pub fn resize(image: &RgbImage, side: u32) -> RgbImage {
    if image.dimensions() == (side, side) || image.width() == 0 || image.height() == 0 {
        return if image.width() == 0 { RgbImage::new(side, side) } else { image.clone() };
    }
    let mut resized = Image::new(side, side, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    let source = ImageRef::new(image.width(), image.height(), image.as_raw(), PixelType::U8x3);
    let done = source.is_ok_and(|source| Resizer::new().resize(&source, &mut resized, &options).is_ok());
    // Neither can fail for a well-formed RgbImage; a black face would be the visible symptom.
    debug_assert!(done, "resize of a well-formed image");
    RgbImage::from_raw(side, side, resized.into_vec()).unwrap_or_else(|| RgbImage::new(side, side))
}

/// Mirrors left and right.
pub fn flip(image: &mut RgbImage) {
    image::imageops::flip_horizontal_in_place(image);
}

/// Pads with `pad` black pixels on every side and cuts the original size out again at (`left`, `top`) of the padded
/// face, both in 0..=2·pad.
pub fn padded_crop(image: &RgbImage, pad: u32, left: u32, top: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (i64::from(x + left) - i64::from(pad), i64::from(y + top) - i64::from(pad));
        let inside = (0..i64::from(width)).contains(&x) && (0..i64::from(height)).contains(&y);
        if inside { *image.get_pixel(x as u32, y as u32) } else { image::Rgb([0; 3]) }
    })
}
