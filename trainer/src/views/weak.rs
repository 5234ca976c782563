//! The weak view: resize, then half the time a padded crop, then half the time a flip.

use image::RgbImage;

use crate::streams::Stream;
use crate::views::geometry;

/// The choices of one weak view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weak {
    /// Side of the result in pixels.
    pub side: u32,
    /// (top, left) of the crop in the padded face.
    pub crop: Option<(u32, u32)>,
    /// Whether to mirror.
    pub flip: bool,
}

impl Weak {
    /// Draws the four numbers of one view.
    pub fn draw(stream: &mut Stream, side: u32) -> Self {
        Self::from_draws(side, std::array::from_fn(|_| stream.unit()))
    }

    /// The view that four numbers in [0, 1) stand for: crop below 0.5, its top, its left, flip below 0.5.
    pub fn from_draws(side: u32, [crop, top, left, flip]: [f64; 4]) -> Self {
        let places = f64::from(2 * Self::pad(side) + 1);
        let position = || ((top * places) as u32, (left * places) as u32);
        Self { side, crop: (crop < 0.5).then(position), flip: flip < 0.5 }
    }

    /// Width of the black border before cropping: 8/224 of the side, rounded half up, at least 1.
    pub fn pad(side: u32) -> u32 {
        ((8.0 * f64::from(side) / 224.0 + 0.5) as u32).max(1)
    }

    /// Makes the view.
    pub fn apply(&self, image: &RgbImage) -> RgbImage {
        let mut view = geometry::resize(image, self.side);
        if let Some((top, left)) = self.crop {
            view = geometry::padded_crop(&view, Self::pad(self.side), left, top);
        }
        if self.flip {
            geometry::flip(&mut view);
        }
        view
    }
}
