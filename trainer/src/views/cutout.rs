//! Cutout as released with Ada-CM: one grey rectangle, not centred on its centre at the left and top edges.

use image::{Rgb, RgbImage};

use crate::streams::Stream;

/// The released fill, about the mean of ImageNet.
const FILL: Rgb<u8> = Rgb([125, 123, 114]);

/// One rectangle: `side` as a share of the *width* (for both axes), and its centre in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cutout {
    pub side: f64,
    pub center_x: f64,
    pub center_y: f64,
}

impl Cutout {
    /// Draws a side in [0, 0.5) and a centre anywhere in a face of `width` × `height`.
    pub fn draw(stream: &mut Stream, width: u32, height: u32) -> Self {
        let side = stream.uniform(0.0, 0.5);
        let center_x = stream.uniform(0.0, f64::from(width));
        let center_y = stream.uniform(0.0, f64::from(height));
        Self { side, center_x, center_y }
    }

    /// Edges [x0, y0, x1, y1] of the rectangle in a face of `width` × `height`; `None` for side 0.
    pub fn rectangle(&self, width: u32, height: u32) -> Option<[f64; 4]> {
        let side = self.side * f64::from(width);
        if side <= 0.0 {
            return None;
        }
        let x0 = (self.center_x - side / 2.0).max(0.0).trunc();
        let y0 = (self.center_y - side / 2.0).max(0.0).trunc();
        Some([x0, y0, (x0 + side).min(f64::from(width)), (y0 + side).min(f64::from(height))])
    }

    /// First and last painted column and row, [x0, y0, x1, y1] inclusive; `None` where nothing is painted.
    pub fn filled(&self, width: u32, height: u32) -> Option<[u32; 4]> {
        let [x0, y0, x1, y1] = self.rectangle(width, height)?.map(|edge| edge as u32);
        let (x1, y1) = (x1.min(width.checked_sub(1)?), y1.min(height.checked_sub(1)?));
        (x0 <= x1 && y0 <= y1).then_some([x0, y0, x1, y1])
    }

    /// Paints the rectangle.
    pub fn apply(&self, image: &mut RgbImage) {
        let Some([x0, y0, x1, y1]) = self.filled(image.width(), image.height()) else { return };
        for y in y0..=y1 {
            for x in x0..=x1 {
                image.put_pixel(x, y, FILL);
            }
        }
    }
}
