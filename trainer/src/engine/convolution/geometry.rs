//! Sizes of one convolution.

use candle_core::{Result, Shape, bail};

use crate::engine::maps::{Activations, Maps};

/// Sizes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Geometry {
    /// From x (N, H, W, C) and the shape of the weight (O, C, k, k).
    pub fn new(x: &Activations, weight: &Shape, stride: usize, padding: usize) -> Result<Self> {
        let (images, Maps { height, width, channels }) = (x.images, x.maps);
        let (outputs, weight_channels, kernel, kernel_width) = weight.dims4()?;
        if weight_channels != channels || kernel != kernel_width || stride == 0 {
            bail!("convolution of {:?} with weight {weight:?} and stride {stride}", x.maps);
        }
        if x.numbers().is_empty() || weight.elem_count() == 0 {
            bail!("convolution of nothing: {images} images of {:?} with weight {weight:?}", x.maps);
        }
        if height + 2 * padding < kernel || width + 2 * padding < kernel {
            bail!("convolution: kernel {kernel} is larger than the padded input {:?}", x.maps);
        }
        Ok(Self { images, height, width, channels, outputs, kernel, stride, padding })
    }

    /// H'.
    pub fn output_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// W'.
    pub fn output_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// One image of x.
    pub fn input(&self) -> Maps {
        Maps { height: self.height, width: self.width, channels: self.channels }
    }

    /// One image of y.
    pub fn output(&self) -> Maps {
        Maps { height: self.output_height(), width: self.output_width(), channels: self.outputs }
    }

    /// Numbers that one result is a sum over: k·k·C.
    pub fn patch(&self) -> usize {
        self.kernel * self.kernel * self.channels
    }

    /// Where the elements (kernel row, kernel column, channel) of a patch lie in a kernel (C, k, k).
    pub fn kernel_places(&self) -> Vec<usize> {
        let taps = self.kernel * self.kernel;
        (0..taps).flat_map(|tap| (0..self.channels).map(move |channel| channel * taps + tap)).collect()
    }

    /// The convolution over dy that gives the gradient of x; `None` where that is none.
    pub fn turned_round(&self) -> Option<Self> {
        let padding = (self.kernel - 1).checked_sub(self.padding).filter(|_| self.stride == 1)?;
        let Maps { height, width, channels } = self.output();
        Some(Self { height, width, channels, outputs: self.channels, padding, ..*self })
    }

    /// The kernels work with raw pointers; wrong lengths must not get that far.
    pub fn check_lengths(&self, x: usize, weight: usize, y: usize) {
        assert_eq!(x, self.images * self.input().size(), "length of the input of {self:?}");
        assert_eq!(weight, self.outputs * self.patch(), "length of the weight of {self:?}");
        assert_eq!(y, self.images * self.output().size(), "length of the output of {self:?}");
    }
}
