//! The 14 operators of the strong view and the ranges their magnitudes are drawn from.

use image::RgbImage;

use crate::streams::Stream;
use crate::views::{affine, blend, point};

/// One operator with its magnitude. Names and ranges are those of the released code (RandAugment without Invert).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operator {
    AutoContrast,
    Equalize,
    Identity,
    /// Factor 0.05 to 0.95.
    Brightness(f64),
    /// Factor 0.05 to 0.95.
    Color(f64),
    /// Factor 0.05 to 0.95.
    Contrast(f64),
    /// Factor 0.05 to 0.95.
    Sharpness(f64),
    /// Bits kept, 4 to 8, cut to an integer.
    Posterize(f64),
    /// Degrees counter-clockwise, −30 to 30.
    Rotate(f64),
    /// Matrix entry, −0.3 to 0.3.
    ShearX(f64),
    /// Matrix entry, −0.3 to 0.3.
    ShearY(f64),
    /// Lowest inverted value, 0 to 256.
    Solarize(f64),
    /// Share of the width, −0.3 to 0.3.
    TranslateX(f64),
    /// Share of the height, −0.3 to 0.3.
    TranslateY(f64),
}

/// Name, lowest and highest magnitude.
const RANGES: [(&str, f64, f64); 14] = [
    ("AutoContrast", 0.0, 1.0),
    ("Equalize", 0.0, 1.0),
    ("Identity", 0.0, 1.0),
    ("Brightness", 0.05, 0.95),
    ("Color", 0.05, 0.95),
    ("Contrast", 0.05, 0.95),
    ("Sharpness", 0.05, 0.95),
    ("Posterize", 4.0, 8.0),
    ("Rotate", -30.0, 30.0),
    ("ShearX", -0.3, 0.3),
    ("ShearY", -0.3, 0.3),
    ("Solarize", 0.0, 256.0),
    ("TranslateX", -0.3, 0.3),
    ("TranslateY", -0.3, 0.3),
];

impl Operator {
    /// The operator of that name at that magnitude; `None` for a name that is not one of the 14.
    pub fn named(name: &str, magnitude: f64) -> Option<Self> {
        Some(match name {
            "AutoContrast" => Operator::AutoContrast,
            "Equalize" => Operator::Equalize,
            "Identity" => Operator::Identity,
            "Brightness" => Operator::Brightness(magnitude),
            "Color" => Operator::Color(magnitude),
            "Contrast" => Operator::Contrast(magnitude),
            "Sharpness" => Operator::Sharpness(magnitude),
            "Posterize" => Operator::Posterize(magnitude),
            "Rotate" => Operator::Rotate(magnitude),
            "ShearX" => Operator::ShearX(magnitude),
            "ShearY" => Operator::ShearY(magnitude),
            "Solarize" => Operator::Solarize(magnitude),
            "TranslateX" => Operator::TranslateX(magnitude),
            "TranslateY" => Operator::TranslateY(magnitude),
            _ => return None,
        })
    }

    /// One of the 14, its magnitude uniform in its range.
    pub fn draw(stream: &mut Stream) -> Self {
        let (name, low, high) = RANGES[stream.below(RANGES.len())];
        Self::named(name, stream.uniform(low, high)).unwrap_or(Operator::Identity)
    }

    /// Applies the operator at the face's own size.
    pub fn apply(&self, image: &mut RgbImage) {
        match *self {
            Operator::AutoContrast => point::autocontrast(image),
            Operator::Equalize => point::equalize(image),
            Operator::Identity => {}
            Operator::Brightness(factor) => blend::brightness(image, factor),
            Operator::Color(factor) => blend::color(image, factor),
            Operator::Contrast(factor) => blend::contrast(image, factor),
            Operator::Sharpness(factor) => blend::sharpness(image, factor),
            Operator::Posterize(bits) => point::posterize(image, bits as u32),
            Operator::Rotate(degrees) => *image = affine::rotate(image, degrees),
            Operator::ShearX(amount) => *image = affine::shear_x(image, amount),
            Operator::ShearY(amount) => *image = affine::shear_y(image, amount),
            Operator::Solarize(threshold) => point::solarize(image, threshold),
            Operator::TranslateX(share) => *image = affine::translate_x(image, share),
            Operator::TranslateY(share) => *image = affine::translate_y(image, share),
        }
    }
}
