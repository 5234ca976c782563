//! Operators that blend a face with a degenerate version of itself (PIL `ImageEnhance`).
//!
//! Factor 1 keeps the face, 0 gives the degenerate version: black, grey, mean grey, smoothed. Factors are in 0..=1.

use image::{Rgb, RgbImage};

/// Towards black.
pub fn brightness(image: &mut RgbImage, factor: f64) {
    blend(image, factor, |_, _, _| [0; 3]);
}

/// Towards grey.
pub fn color(image: &mut RgbImage, factor: f64) {
    blend(image, factor, |pixel, _, _| [luma(pixel); 3]);
}

/// Towards the mean grey of the whole face.
pub fn contrast(image: &mut RgbImage, factor: f64) {
    let count = u64::from(image.width()) * u64::from(image.height());
    let sum: u64 = image.pixels().map(|pixel| u64::from(luma(pixel))).sum();
    let mean = (sum as f64 / count.max(1) as f64 + 0.5) as u8;
    blend(image, factor, |_, _, _| [mean; 3]);
}

/// Towards the smoothed face (PIL's `SMOOTH` kernel; the border stays).
pub fn sharpness(image: &mut RgbImage, factor: f64) {
    let original = image.clone();
    let (width, height) = original.dimensions();
    blend(image, factor, |pixel, x, y| {
        if x == 0 || y == 0 || x + 1 == width || y + 1 == height {
            return pixel.0;
        }
        std::array::from_fn(|channel| {
            let mut sum = 0.0f32;
            for (dy, dx) in (0..3).flat_map(|dy| (0..3).map(move |dx| (dy, dx))) {
                let weight = if dx == 1 && dy == 1 { 5.0f32 / 13.0 } else { 1.0f32 / 13.0 };
                sum += weight * f32::from(original.get_pixel(x + dx - 1, y + dy - 1).0[channel]);
            }
            (sum + 0.5).clamp(0.0, 255.0) as u8
        })
    });
}

/// PIL's conversion to grey, in 16-bit fixed point.
pub fn luma(pixel: &Rgb<u8>) -> u8 {
    let [red, green, blue] = pixel.0.map(u32::from);
    ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16) as u8
}

/// PIL's `Image.blend` in single precision, truncated.
fn blend(image: &mut RgbImage, factor: f64, degenerate: impl Fn(&Rgb<u8>, u32, u32) -> [u8; 3]) {
    let factor = factor as f32;
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let low = degenerate(pixel, x, y);
        for (value, low) in pixel.0.iter_mut().zip(low) {
            let low = f32::from(low);
            *value = (low + factor * (f32::from(*value) - low)).clamp(0.0, 255.0) as u8;
        }
    }
}
