//! Affine operators (PIL `Image.transform` with AFFINE, and `Image.rotate`): nearest neighbour, black outside.

use image::{Rgb, RgbImage};

/// Output pixel (x, y) shows input pixel (a x + b y + c, d x + e y + f).
type Matrix = [f64; 6];

/// Shears horizontally; `amount` is the matrix entry.
pub fn shear_x(image: &RgbImage, amount: f64) -> RgbImage {
    transform(image, [1.0, amount, 0.0, 0.0, 1.0, 0.0])
}

/// Shears vertically; `amount` is the matrix entry.
pub fn shear_y(image: &RgbImage, amount: f64) -> RgbImage {
    transform(image, [1.0, 0.0, 0.0, amount, 1.0, 0.0])
}

/// Moves left by `share` of the width (right where negative).
pub fn translate_x(image: &RgbImage, share: f64) -> RgbImage {
    transform(image, [1.0, 0.0, share * f64::from(image.width()), 0.0, 1.0, 0.0])
}

/// Moves up by `share` of the height (down where negative).
pub fn translate_y(image: &RgbImage, share: f64) -> RgbImage {
    transform(image, [1.0, 0.0, 0.0, 0.0, 1.0, share * f64::from(image.height())])
}

/// Turns counter-clockwise around the centre by `degrees`.
pub fn rotate(image: &RgbImage, degrees: f64) -> RgbImage {
    let (sin, cos) = (-degrees.to_radians()).sin_cos();
    // PIL rounds to 15 decimals, which makes turns by 90 degrees exact.
    let round = |value: f64| (value * 1e15).round() / 1e15;
    let (sin, cos) = (round(sin), round(cos));
    let (x, y) = (f64::from(image.width()) / 2.0, f64::from(image.height()) / 2.0);
    transform(image, [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y])
}

fn transform(image: &RgbImage, matrix: Matrix) -> RgbImage {
    if matrix[1] == 0.0 && matrix[3] == 0.0 { scaled(image, matrix) } else { fixed_point(image, matrix) }
}

/// PIL's path for matrices without rotation or shear: positions are truncated.
fn scaled(image: &RgbImage, [a, _, c, _, e, f]: Matrix) -> RgbImage {
    let (width, height) = image.dimensions();
    let position = |value: f64, limit: u32| {
        let inside = value >= 0.0 && value < f64::from(limit);
        inside.then_some(value as u32)
    };
    RgbImage::from_fn(width, height, |x, y| {
        let source_x = position(c + a * (f64::from(x) + 0.5), width);
        let source_y = position(f + e * (f64::from(y) + 0.5), height);
        match (source_x, source_y) {
            (Some(x), Some(y)) => *image.get_pixel(x, y),
            _ => Rgb([0; 3]),
        }
    })
}

/// PIL's general path for images of moderate size: 16.16 fixed point, accumulated along rows and columns.
fn fixed_point(image: &RgbImage, [a, b, c, d, e, f]: Matrix) -> RgbImage {
    let (width, height) = image.dimensions();
    let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
    let (step_xx, step_xy, step_yx, step_yy) = (fixed(a), fixed(b), fixed(d), fixed(e));
    let (start_x, start_y) = (fixed(c + (a + b) * 0.5), fixed(f + (d + e) * 0.5));
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = (i64::from(x), i64::from(y));
        let source_x = (start_x + step_xx * x + step_xy * y) >> 16;
        let source_y = (start_y + step_yx * x + step_yy * y) >> 16;
        if (0..i64::from(width)).contains(&source_x) && (0..i64::from(height)).contains(&source_y) {
            *image.get_pixel(source_x as u32, source_y as u32)
        } else {
            Rgb([0; 3])
        }
    })
}
