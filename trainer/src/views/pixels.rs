//! From bytes to numbers: channel order, ImageNet's mean and standard deviation, planes.

use candle_core::{Device, Tensor};
use image::RgbImage;

use crate::config::ChannelOrder;
use crate::{Result, views::geometry};

/// ImageNet's channel means, in 0..=1.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's channel standard deviations, in 0..=1.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Puts the channels into the network's order. This comes before the operators, as in the released code, which reads
/// BGR and augments that; mean and deviation then apply by position.
pub fn order_channels(mut image: RgbImage, order: ChannelOrder) -> RgbImage {
    if order == ChannelOrder::Bgr {
        image.pixels_mut().for_each(|pixel| pixel.0.reverse());
    }
    image
}

/// The plain view: resized, nothing else.
pub fn plain(image: &RgbImage, side: u32) -> RgbImage {
    geometry::resize(image, side)
}

/// Appends a view's three normalised planes (row by row) to `numbers`.
pub fn append_planes(view: &RgbImage, numbers: &mut Vec<f32>) {
    for channel in 0..3 {
        let scale = 1.0 / (255.0 * STD[channel]);
        let shift = MEAN[channel] / STD[channel];
        numbers.extend(view.as_raw().iter().skip(channel).step_by(3).map(|&value| f32::from(value) * scale - shift));
    }
}

/// The planes of `count` views of `side` × `side` pixels as a tensor [count, 3, side, side].
pub fn tensor(numbers: Vec<f32>, count: usize, side: usize) -> Result<Tensor> {
    Ok(Tensor::from_vec(numbers, (count, 3, side, side), &Device::Cpu)?)
}
