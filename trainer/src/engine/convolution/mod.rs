//! Convolution without bias over channel-major activations: patches into columns, then a matrix product.
//!
//! In: x (C, N, H, W), weight (O, C, k, k). Out: y (O, N, H', W'). The work is split among the threads by images
//! (forward, input gradient) or by rows of the column matrix (weight gradient), each with its own piece of the output.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::lanes::{Lanes, blocks, split};
use super::storage::{slice, tensor, with_numbers};

/// Numbers of the column matrix made at a time: about what a core's second-level cache holds beside the weights.
const COLUMN_BLOCK: usize = 192 * 1024;

/// Sizes of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub channels: usize,
    pub images: usize,
    pub height: usize,
    pub width: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Geometry {
    /// From the shapes of x (C, N, H, W) and weight (O, C, k, k).
    pub fn new(x: &Shape, weight: &Shape, stride: usize, padding: usize) -> Result<Self> {
        let (channels, images, height, width) = x.dims4()?;
        let (outputs, weight_channels, kernel, kernel_width) = weight.dims4()?;
        if weight_channels != channels || kernel != kernel_width || stride == 0 {
            bail!("convolution of {x:?} with weight {weight:?} and stride {stride}");
        }
        if height + 2 * padding < kernel || width + 2 * padding < kernel {
            bail!("convolution: kernel {kernel} is larger than the padded input {x:?}");
        }
        Ok(Self { channels, images, height, width, outputs, kernel, stride, padding })
    }

    /// H'.
    pub fn output_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// W'.
    pub fn output_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    fn output_area(&self) -> usize {
        self.output_height() * self.output_width()
    }

    /// Rows of the column matrix, one per weight of an output channel.
    fn rows(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// The kernels below work with raw pointers; wrong lengths must not get that far.
    fn check_lengths(&self, x: usize, weight: usize, y: usize) {
        assert_eq!(x, self.channels * self.images * self.height * self.width, "length of the input of {self:?}");
        assert_eq!(weight, self.outputs * self.rows(), "length of the weight of {self:?}");
        assert_eq!(y, self.outputs * self.images * self.output_area(), "length of the output of {self:?}");
    }

    /// Images whose columns of `rows` rows fit in a block; at least one.
    fn images_per_block(&self, rows: usize) -> usize {
        (COLUMN_BLOCK / (rows * self.output_area()).max(1)).max(1)
    }

    /// Where row (kernel y, kernel x)'s patch reads along one axis: first and one-past-last output position whose
    /// input lies inside.
    fn valid(&self, offset: usize, input: usize, output: usize) -> Range<usize> {
        let first = self.padding.saturating_sub(offset).div_ceil(self.stride);
        let end = if input + self.padding > offset { (input + self.padding - offset).div_ceil(self.stride) } else { 0 };
        first.min(output)..end.clamp(first.min(output), output)
    }
}

/// y = weight * x, with `bias` added and negative values cut (`relu`) where given.
pub fn forward(geometry: &Geometry, x: &[f32], weight: &[f32], y: &mut [f32], bias: Option<&[f32]>, relu: bool) {
    geometry.check_lengths(x.len(), weight.len(), y.len());
    let (area, rows) = (geometry.output_area(), geometry.rows());
    let row_length = geometry.images * area;
    let y = Lanes::new(y);
    split(geometry.images, rayon::current_num_threads()).into_par_iter().for_each(|lane| {
        for block in blocks(lane, geometry.images_per_block(rows)) {
            let length = block.len() * area;
            with_columns(rows * length, |columns| {
                fill_columns(geometry, x, 0..rows, block.clone(), columns);
                // SAFETY: this block's columns of y belong to this lane alone, and all strides stay inside y.
                unsafe {
                    let y = y.at(block.start * area, (geometry.outputs - 1) * row_length + length);
                    product(
                        [geometry.outputs, length, rows],
                        (y, row_length as isize, 1),
                        (weight.as_ptr(), rows as isize, 1),
                        (columns.as_ptr(), length as isize, 1),
                        false,
                    );
                }
                if bias.is_some() || relu {
                    for output in 0..geometry.outputs {
                        // SAFETY: as above.
                        let row = unsafe { y.slice(output * row_length + block.start * area, length) };
                        let shift = bias.map_or(0.0, |bias| bias[output]);
                        let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
                        row.iter_mut().for_each(|value| *value = (*value + shift).max(floor));
                    }
                }
            });
        }
    });
}

/// Gradient of the weight (O, C, k, k) from x and the gradient of y.
pub fn weight_gradient(geometry: &Geometry, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    geometry.check_lengths(x.len(), dweight.len(), dy.len());
    let (area, rows) = (geometry.output_area(), geometry.rows());
    let row_length = geometry.images * area;
    let dweight = Lanes::new(dweight);
    split(rows, rayon::current_num_threads()).into_par_iter().for_each(|lane| {
        for block in blocks(0..geometry.images, geometry.images_per_block(lane.len())) {
            let length = block.len() * area;
            with_columns(lane.len() * length, |columns| {
                fill_columns(geometry, x, lane.clone(), block.clone(), columns);
                // SAFETY: these columns of dweight belong to this lane alone, and all strides stay inside it.
                unsafe {
                    let target = dweight.at(lane.start, (geometry.outputs - 1) * rows + lane.len());
                    product(
                        [geometry.outputs, lane.len(), length],
                        (target, rows as isize, 1),
                        (dy.as_ptr().add(block.start * area), row_length as isize, 1),
                        (columns.as_ptr(), 1, length as isize),
                        block.start > 0,
                    );
                }
            });
        }
    });
}

/// Gradient of x (C, N, H, W) from the weight and the gradient of y; `dx` must be zero.
pub fn input_gradient(geometry: &Geometry, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
    geometry.check_lengths(dx.len(), weight.len(), dy.len());
    let (area, rows) = (geometry.output_area(), geometry.rows());
    let row_length = geometry.images * area;
    let dx = Lanes::new(dx);
    split(geometry.images, rayon::current_num_threads()).into_par_iter().for_each(|lane| {
        for block in blocks(lane, geometry.images_per_block(rows)) {
            let length = block.len() * area;
            with_columns(rows * length, |columns| {
                // SAFETY: columns is this thread's own; dy is read inside its bounds.
                unsafe {
                    product(
                        [rows, length, geometry.outputs],
                        (columns.as_mut_ptr(), length as isize, 1),
                        (weight.as_ptr(), 1, rows as isize),
                        (dy.as_ptr().add(block.start * area), row_length as isize, 1),
                        false,
                    );
                }
                add_columns(geometry, columns, block, &dx);
            });
        }
    });
}

/// Rows `rows` of the column matrix of the images `block`, row after row.
fn fill_columns(geometry: &Geometry, x: &[f32], rows: Range<usize>, block: Range<usize>, columns: &mut [f32]) {
    let (out_height, out_width, stride) = (geometry.output_height(), geometry.output_width(), geometry.stride);
    let (height, width) = (geometry.height, geometry.width);
    let per_channel = geometry.kernel * geometry.kernel;
    let row_length = block.len() * out_height * out_width;
    for (row, target) in rows.zip(columns.chunks_exact_mut(row_length)) {
        let (channel, ky, kx) =
            (row / per_channel, row % per_channel / geometry.kernel, row % per_channel % geometry.kernel);
        let valid_x = geometry.valid(kx, width, out_width);
        let valid_y = geometry.valid(ky, height, out_height);
        for (image, target) in block.clone().zip(target.chunks_exact_mut(out_height * out_width)) {
            let plane = &x[(channel * geometry.images + image) * height * width..][..height * width];
            for (y, target) in target.chunks_exact_mut(out_width).enumerate() {
                if !valid_y.contains(&y) || valid_x.is_empty() {
                    target.fill(0.0);
                    continue;
                }
                let line = &plane[(y * stride + ky - geometry.padding) * width..][..width];
                target[..valid_x.start].fill(0.0);
                target[valid_x.end..].fill(0.0);
                let first = valid_x.start * stride + kx - geometry.padding;
                let inside = &mut target[valid_x.clone()];
                match stride {
                    1 => inside.copy_from_slice(&line[first..first + inside.len()]),
                    2 => copy_every_second(&line[first..], inside),
                    _ => inside.iter_mut().zip(line[first..].iter().step_by(stride)).for_each(|(to, from)| *to = *from),
                }
            }
        }
    }
}

/// Elements 0, 2, 4, … of `from`. In pairs, which the compiler turns into vector instructions; the last may lack a partner.
fn copy_every_second(from: &[f32], to: &mut [f32]) {
    let Some((last, to)) = to.split_last_mut() else { return };
    *last = from[2 * to.len()];
    to.iter_mut().zip(from.as_chunks::<2>().0).for_each(|(to, [from, _])| *to = *from);
}

/// Adds the gradients of the columns of the images `block` to the pixels they were copied from.
fn add_columns(geometry: &Geometry, columns: &[f32], block: Range<usize>, dx: &Lanes) {
    let (out_height, out_width, stride) = (geometry.output_height(), geometry.output_width(), geometry.stride);
    let (height, width) = (geometry.height, geometry.width);
    let per_channel = geometry.kernel * geometry.kernel;
    let row_length = block.len() * out_height * out_width;
    for (row, source) in columns.chunks_exact(row_length).enumerate() {
        let (channel, ky, kx) =
            (row / per_channel, row % per_channel / geometry.kernel, row % per_channel % geometry.kernel);
        let valid_x = geometry.valid(kx, width, out_width);
        if valid_x.is_empty() {
            continue;
        }
        for (image, source) in block.clone().zip(source.chunks_exact(out_height * out_width)) {
            // SAFETY: the planes of these images belong to this lane alone.
            let plane = unsafe { dx.slice((channel * geometry.images + image) * height * width, height * width) };
            for y in geometry.valid(ky, height, out_height) {
                let first =
                    (y * stride + ky - geometry.padding) * width + valid_x.start * stride + kx - geometry.padding;
                let source = &source[y * out_width..][valid_x.clone()];
                if stride == 1 {
                    let line = &mut plane[first..first + source.len()];
                    line.iter_mut().zip(source).for_each(|(to, from)| *to += *from);
                } else {
                    plane[first..].iter_mut().step_by(stride).zip(source).for_each(|(to, from)| *to += *from);
                }
            }
        }
    }
}

/// dst = lhs · rhs (+ dst), for [m, n, k] and operands as (pointer, row stride, column stride), on this thread.
///
/// # Safety
/// Every element the sizes and strides reach must be valid, and nobody else may touch dst's.
unsafe fn product(
    [m, n, k]: [usize; 3],
    dst: (*mut f32, isize, isize),
    lhs: (*const f32, isize, isize),
    rhs: (*const f32, isize, isize),
    accumulate: bool,
) {
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.0,
            dst.2,
            dst.1,
            accumulate,
            lhs.0,
            lhs.2,
            lhs.1,
            rhs.0,
            rhs.2,
            rhs.1,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Runs `f` on this thread's column buffer.
fn with_columns(length: usize, f: impl FnOnce(&mut [f32])) {
    thread_local! {
        static COLUMNS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    COLUMNS.with_borrow_mut(|columns| {
        if columns.len() < length {
            columns.resize(length, 0.0);
        }
        f(&mut columns[..length]);
    });
}

/// Convolution with gradients. x (C, N, H, W), weight (O, C, k, k) → (O, N, H', W').
pub fn convolution(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&weight.contiguous()?, Convolution { stride, padding })
}

/// Convolution with bias (O) and optional ReLU, for inference: no gradients.
pub fn convolution_bias(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: usize,
    padding: usize,
    relu: bool,
) -> Result<Tensor> {
    x.contiguous()?.apply_op3_no_bwd(
        &weight.contiguous()?,
        &bias.contiguous()?,
        &BiasedConvolution { stride, padding, relu },
    )
}

struct Convolution {
    stride: usize,
    padding: usize,
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(lx.shape(), lw.shape(), self.stride, self.padding)?;
        let shape = (geometry.outputs, geometry.images, geometry.output_height(), geometry.output_width());
        let mut y = vec![0.0; geometry.outputs * geometry.images * geometry.output_area()];
        forward(&geometry, slice(x, lx)?, slice(w, lw)?, &mut y, None, false);
        Ok((CpuStorage::F32(y), shape.into()))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let geometry = Geometry::new(x.shape(), w.shape(), self.stride, self.padding)?;
        with_numbers(dy, |dy| {
            let dw = with_numbers(x, |x| {
                let mut dw = vec![0.0; geometry.outputs * geometry.rows()];
                weight_gradient(&geometry, x, dy, &mut dw);
                tensor(dw, w.shape())
            })?;
            // Images at the network's entrance need no gradient, and theirs would be the dearest of all.
            if !x.track_op() {
                return Ok((None, Some(dw)));
            }
            let dx = with_numbers(w, |w| {
                let mut dx = vec![0.0; x.elem_count()];
                input_gradient(&geometry, w, dy, &mut dx);
                tensor(dx, x.shape())
            })?;
            Ok((Some(dx), Some(dw)))
        })
    }
}

struct BiasedConvolution {
    stride: usize,
    padding: usize,
    relu: bool,
}

impl CustomOp3 for BiasedConvolution {
    fn name(&self) -> &'static str {
        "convolution with bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(lx.shape(), lw.shape(), self.stride, self.padding)?;
        let shape = (geometry.outputs, geometry.images, geometry.output_height(), geometry.output_width());
        let mut y = vec![0.0; geometry.outputs * geometry.images * geometry.output_area()];
        forward(&geometry, slice(x, lx)?, slice(w, lw)?, &mut y, Some(slice(b, lb)?), self.relu);
        Ok((CpuStorage::F32(y), shape.into()))
    }
}
