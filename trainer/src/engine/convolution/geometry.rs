//! Sizes of one convolution.

use candle_core::{Result, Shape, bail};

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

/// Sizes of one image's activations (H, W, C).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maps {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Maps {
    /// Numbers of one image.
    pub fn size(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Where the channels of a place begin, if it lies inside.
    #[inline(always)]
    pub fn place(&self, row: isize, column: isize) -> Option<usize> {
        let inside = (0..self.height as isize).contains(&row) && (0..self.width as isize).contains(&column);
        inside.then(|| (row as usize * self.width + column as usize) * self.channels)
    }
}

impl Geometry {
    /// From the shapes of x (N, H, W, C) and weight (O, C, k, k).
    pub fn new(x: &Shape, weight: &Shape, stride: usize, padding: usize) -> Result<Self> {
        let (images, height, width, channels) = x.dims4()?;
        let (outputs, weight_channels, kernel, kernel_width) = weight.dims4()?;
        if weight_channels != channels || kernel != kernel_width || stride == 0 {
            bail!("convolution of {x:?} with weight {weight:?} and stride {stride}");
        }
        if x.elem_count() == 0 || weight.elem_count() == 0 {
            bail!("convolution of nothing: {x:?} with weight {weight:?}");
        }
        if height + 2 * padding < kernel || width + 2 * padding < kernel {
            bail!("convolution: kernel {kernel} is larger than the padded input {x:?}");
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

    /// The kernels work with raw pointers; wrong lengths must not get that far.
    pub fn check_lengths(&self, x: usize, weight: usize, y: usize) {
        assert_eq!(x, self.images * self.input().size(), "length of the input of {self:?}");
        assert_eq!(weight, self.outputs * self.patch(), "length of the weight of {self:?}");
        assert_eq!(y, self.images * self.output().size(), "length of the output of {self:?}");
    }
}
