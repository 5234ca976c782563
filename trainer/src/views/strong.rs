//! The strong view: three operators and cutout at the face's own size, then the weak chain.

use image::RgbImage;

use crate::streams::Stream;
use crate::views::{Cutout, Operator, Weak};

/// Operators in one strong view, drawn with replacement.
const OPERATORS: usize = 3;

/// The choices of one strong view.
#[derive(Clone, Debug, PartialEq)]
pub struct Strong {
    pub operators: Vec<Operator>,
    pub cutout: Cutout,
    pub weak: Weak,
}

impl Strong {
    /// Draws a view of a face of `width` × `height`.
    pub fn draw(stream: &mut Stream, width: u32, height: u32, side: u32) -> Self {
        let operators = (0..OPERATORS).map(|_| Operator::draw(stream)).collect();
        let cutout = Cutout::draw(stream, width, height);
        let weak = Weak::draw(stream, side);
        Self { operators, cutout, weak }
    }

    /// Makes the view.
    pub fn apply(&self, image: &RgbImage) -> RgbImage {
        let mut view = image.clone();
        for operator in &self.operators {
            operator.apply(&mut view);
        }
        self.cutout.apply(&mut view);
        self.weak.apply(&view)
    }
}
