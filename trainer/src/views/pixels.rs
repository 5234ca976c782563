//! From pixels to numbers: colours, ImageNet's mean and standard deviation, planes.

use candle_core::{Device, Tensor};
use image::RgbImage;

use crate::Result;
use crate::config::{ChannelOrder, TrainerConfig};
use crate::views::geometry;

/// ImageNet's channel means, in 0..=1.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's channel standard deviations, in 0..=1.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];
/// The mean of those means, for a network of one channel.
pub const GREY_MEAN: [f32; 1] = [0.449];
/// The mean of those deviations.
pub const GREY_STD: [f32; 1] = [0.226];

/// What a network takes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Side in pixels.
    pub side: usize,
    /// 3 (colour; grey faces repeated), or 1 (grey; colour faces by their brightness).
    pub channels: usize,
    /// Order of three channels.
    pub order: ChannelOrder,
}

impl Input {
    /// Of the network that a configuration asks for.
    pub fn new(config: &TrainerConfig) -> Self {
        Self { side: config.image_size, channels: config.input_channels, order: config.channel_order }
    }

    /// Mean and standard deviation of every channel, in 0..=1.
    pub fn normalisation(&self) -> (&'static [f32], &'static [f32]) {
        if self.channels == 1 { (&GREY_MEAN, &GREY_STD) } else { (&MEAN, &STD) }
    }

    /// A decoded face in the network's colours. This comes before the operators, as in the released code, which reads
    /// BGR and augments that; mean and deviation then apply by position. A grey face keeps three channels, all alike.
    pub fn colours(&self, mut image: RgbImage) -> RgbImage {
        if self.channels == 1 {
            image.pixels_mut().for_each(|pixel| pixel.0 = [brightness(pixel.0); 3]);
        } else if self.order == ChannelOrder::Bgr {
            image.pixels_mut().for_each(|pixel| pixel.0.reverse());
        }
        image
    }

    /// The plain view: resized, nothing else.
    pub fn plain(&self, image: &RgbImage) -> RgbImage {
        geometry::resize(image, self.side as u32)
    }

    /// Appends a view's normalised planes (row by row) to `numbers`.
    pub fn append_planes(&self, view: &RgbImage, numbers: &mut Vec<f32>) {
        let (mean, deviation) = self.normalisation();
        for (channel, (mean, deviation)) in mean.iter().zip(deviation).enumerate() {
            let (scale, shift) = (1.0 / (255.0 * deviation), mean / deviation);
            let normalised = |value: u8| f32::from(value) * scale - shift;
            if self.channels == 1 {
                // Cutout paints in colour, so that only here all channels become one.
                numbers.extend(view.pixels().map(|pixel| normalised(brightness(pixel.0))));
            } else {
                numbers.extend(view.as_raw().iter().skip(channel).step_by(3).map(|&value| normalised(value)));
            }
        }
    }

    /// The planes of `count` views as a tensor (count, channels, side, side).
    pub fn tensor(&self, numbers: Vec<f32>, count: usize) -> Result<Tensor> {
        Ok(Tensor::from_vec(numbers, (count, self.channels, self.side, self.side), &Device::Cpu)?)
    }
}

/// ITU-R 601 luma, in PIL's fixed-point arithmetic; grey stays what it is.
fn brightness([red, green, blue]: [u8; 3]) -> u8 {
    ((19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + 0x8000) >> 16) as u8
}
