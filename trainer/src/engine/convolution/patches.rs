//! Convolutions of any size: the patch under every result is copied to a row of a matrix (im2col), and one matrix product
//! with the weights does the rest.
//!
//! A thread takes its images in blocks whose rows stay in its cache. The weight gradient sums over all images and is split
//! by the elements of a patch instead. Every number is summed in an order that depends on the sizes alone.

use std::ops::Range;

use rayon::prelude::*;

use super::geometry::Geometry;
use crate::engine::lanes::{Lanes, blocks, split};
use crate::engine::matrix_product::{Left, Out, Right, VECTOR, packed_at, padded, panels, product};
use crate::engine::scratch::Scratch;
use crate::engine::simd::vectorise;

/// Numbers of rows made at a time: half of a second-level cache.
const BLOCK: usize = 256 * 1024;

/// y = weight * x, with `bias` added and negative values cut (`relu`) where given.
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32], y: &mut [f32], bias: Option<&[f32]>, relu: bool) {
    let (patch, area) = (g.patch(), g.output_height() * g.output_width());
    let weights = packed_weights(g, weight);
    let y = Lanes::new(y);
    split(g.images, rayon::current_num_threads()).into_par_iter().for_each(|lane| {
        for images in blocks(lane, images_per_block(g, patch)) {
            let pixels = images.len() * area;
            let mut rows = Scratch::take(pixels * patch);
            copy_patches(g, x, 0..patch, images.clone(), &mut rows);
            // SAFETY: these images are this lane's own.
            let y = unsafe { y.slice(images.start * area * g.outputs, pixels * g.outputs) };
            let left = Left { values: &rows, row_stride: patch, inner_stride: 1 };
            let right = Right::packed(&weights, patch, g.outputs);
            product([pixels, g.outputs, patch], 0..panels(g.outputs), Out::new(y, g.outputs), left, right, false);
            finish(y, g.outputs, bias, relu);
        }
    });
}

/// Gradient of the weight (O, C, k, k).
pub fn weight_gradient(g: &Geometry, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let area = g.output_height() * g.output_width();
    // Products read whole vectors of columns.
    let stride = g.outputs.next_multiple_of(VECTOR);
    let padded_rows = (stride != g.outputs).then(|| {
        let mut rows = Scratch::take(dy.len() / g.outputs * stride);
        for (to, from) in rows.chunks_exact_mut(stride).zip(dy.chunks_exact(g.outputs)) {
            to[..g.outputs].copy_from_slice(from);
        }
        rows
    });
    let dy: &[f32] = padded_rows.as_deref().unwrap_or(dy);
    let mut gradients = Scratch::take(g.patch() * stride);
    let target = Lanes::new(&mut gradients);
    split(g.patch(), rayon::current_num_threads()).into_par_iter().for_each(|elements| {
        let count = elements.len();
        // SAFETY: these rows are this task's own.
        let target = unsafe { target.slice(elements.start * stride, count * stride) };
        for images in blocks(0..g.images, images_per_block(g, count)) {
            let pixels = images.len() * area;
            let mut rows = Scratch::take(pixels * count);
            copy_patches(g, x, elements.clone(), images.clone(), &mut rows);
            let left = Left { values: &rows, row_stride: 1, inner_stride: count };
            let right = Right::rows(&dy[images.start * area * stride..][..pixels * stride], stride);
            let sizes = [count, g.outputs, pixels];
            product(sizes, 0..panels(g.outputs), Out::new(target, stride), left, right, images.start > 0);
        }
    });
    unpack_gradient(g, &gradients, stride, dweight);
}

/// Adds the gradient of x (N, H, W, C) to `dx`.
pub fn input_gradient(g: &Geometry, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
    let (patch, area) = (g.patch(), g.output_height() * g.output_width());
    let weights = packed_transposed_weights(g, weight);
    let dx = Lanes::new(dx);
    split(g.images, rayon::current_num_threads()).into_par_iter().for_each(|lane| {
        for images in blocks(lane, images_per_block(g, patch)) {
            let pixels = images.len() * area;
            let mut rows = Scratch::take(pixels * patch);
            let values = &dy[images.start * area * g.outputs..][..pixels * g.outputs];
            let left = Left { values, row_stride: g.outputs, inner_stride: 1 };
            let right = Right::packed(&weights, g.outputs, patch);
            product([pixels, patch, g.outputs], 0..panels(patch), Out::new(&mut rows, patch), left, right, false);
            // SAFETY: these images are this lane's own.
            let dx = unsafe { dx.slice(images.start * g.input().size(), images.len() * g.input().size()) };
            add_patches(g, &rows, dx);
        }
    });
}

/// Images of which `elements` of every patch fit in a block, with rows enough for a product to pay.
fn images_per_block(g: &Geometry, elements: usize) -> usize {
    let area = g.output_height() * g.output_width();
    (BLOCK / (elements * area)).max(96usize.div_ceil(area))
}

/// What a result's patch finds inside the image along a kernel row: the elements that exist, and where they begin.
struct Run {
    elements: Range<usize>,
    start: usize,
}

/// The part of kernel row `ky` of the patch at (`y`, `x`), as elements of that row of k·C.
#[inline(always)]
fn run(g: &Geometry, y: usize, x: usize, ky: usize) -> Option<Run> {
    let row = (y * g.stride + ky).checked_sub(g.padding).filter(|&row| row < g.height)?;
    let column = x * g.stride;
    let first = g.padding.saturating_sub(column);
    let end = (g.width + g.padding).saturating_sub(column).min(g.kernel);
    (first < end).then(|| Run {
        elements: first * g.channels..end * g.channels,
        start: (row * g.width + column + first - g.padding) * g.channels,
    })
}

/// Elements `elements` of the patch (kernel row, kernel column, channel) of every result of `images`.
fn copy_patches(g: &Geometry, x: &[f32], elements: Range<usize>, images: Range<usize>, rows: &mut [f32]) {
    let size = g.input().size();
    let line = g.kernel * g.channels;
    let mut rows = rows.chunks_exact_mut(elements.len());
    for image in images {
        let image = &x[image * size..][..size];
        for y in 0..g.output_height() {
            for (x, row) in (0..g.output_width()).zip(&mut rows) {
                for ky in elements.start / line..elements.end.div_ceil(line) {
                    // Elements of this kernel row that are asked for, and of those the ones inside the image.
                    let from = elements.start.max(ky * line) - ky * line;
                    let to = elements.end.min((ky + 1) * line) - ky * line;
                    let target = &mut row[ky * line + from - elements.start..][..to - from];
                    let Some(run) = run(g, y, x, ky) else {
                        target.fill(0.0);
                        continue;
                    };
                    let (first, end) = (run.elements.start.clamp(from, to), run.elements.end.clamp(from, to));
                    target[..first - from].fill(0.0);
                    target[end.max(first) - from..].fill(0.0);
                    if first < end {
                        let source = &image[run.start + first - run.elements.start..][..end - first];
                        target[first - from..end - from].copy_from_slice(source);
                    }
                }
            }
        }
    }
}

/// Adds the gradients of whole patches to the places they were copied from.
fn add_patches(g: &Geometry, rows: &[f32], dx: &mut [f32]) {
    let line = g.kernel * g.channels;
    let mut rows = rows.chunks_exact(g.patch());
    vectorise(
        #[inline(always)]
        || {
            for image in dx.chunks_exact_mut(g.input().size()) {
                for y in 0..g.output_height() {
                    for (x, row) in (0..g.output_width()).zip(&mut rows) {
                        for ky in 0..g.kernel {
                            let Some(run) = run(g, y, x, ky) else { continue };
                            let source = &row[ky * line..][run.elements.clone()];
                            let target = &mut image[run.start..][..source.len()];
                            target.iter_mut().zip(source).for_each(|(to, from)| *to += from);
                        }
                    }
                }
            }
        },
    );
}

/// Adds the bias and cuts at zero, for inference.
fn finish(y: &mut [f32], outputs: usize, bias: Option<&[f32]>, relu: bool) {
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    vectorise(
        #[inline(always)]
        || match bias {
            Some(bias) => y.chunks_exact_mut(outputs).for_each(|row| {
                row.iter_mut().zip(bias).for_each(|(value, bias)| *value = (*value + bias).max(floor));
            }),
            None if relu => y.iter_mut().for_each(|value| *value = value.max(floor)),
            None => {}
        },
    );
}

/// Panels of (element of a patch, output) from (O, C, k, k).
fn packed_weights(g: &Geometry, weight: &[f32]) -> Scratch {
    let (patch, taps) = (g.patch(), g.kernel * g.kernel);
    let mut packed = Scratch::take(patch * padded(g.outputs));
    let target = Lanes::new(&mut packed);
    (0..padded(g.outputs) / VECTOR).into_par_iter().for_each(|block| {
        let first = block * VECTOR;
        for channel in 0..g.channels {
            for tap in 0..taps {
                let at = packed_at(tap * g.channels + channel, first, patch, g.outputs);
                // SAFETY: these columns are this task's own.
                let row = unsafe { target.slice(at, VECTOR) };
                for (output, value) in (first..).zip(row) {
                    *value = if output < g.outputs { weight[output * patch + channel * taps + tap] } else { 0.0 };
                }
            }
        }
    });
    packed
}

/// Panels of (output, element of a patch) from (O, C, k, k).
fn packed_transposed_weights(g: &Geometry, weight: &[f32]) -> Scratch {
    let (patch, taps) = (g.patch(), g.kernel * g.kernel);
    let mut packed = Scratch::take(g.outputs * padded(patch));
    let target = Lanes::new(&mut packed);
    (0..g.outputs).into_par_iter().for_each(|output| {
        let kernel = &weight[output * patch..][..patch];
        for first in (0..padded(patch)).step_by(VECTOR) {
            // SAFETY: this row is this task's own.
            let row = unsafe { target.slice(packed_at(output, first, g.outputs, patch), VECTOR) };
            for (element, value) in (first..).zip(row) {
                let (tap, channel) = (element / g.channels, element % g.channels);
                *value = if element < patch { kernel[channel * taps + tap] } else { 0.0 };
            }
        }
    });
    packed
}

/// From (element of a patch, output) to (O, C, k, k).
fn unpack_gradient(g: &Geometry, gradients: &[f32], stride: usize, dweight: &mut [f32]) {
    let (patch, taps) = (g.patch(), g.kernel * g.kernel);
    dweight.par_chunks_mut(VECTOR * patch).enumerate().for_each(|(block, dweight)| {
        for channel in 0..g.channels {
            for tap in 0..taps {
                let from = &gradients[(tap * g.channels + channel) * stride + block * VECTOR..];
                for (kernel, value) in dweight.chunks_exact_mut(patch).zip(from) {
                    kernel[channel * taps + tap] = *value;
                }
            }
        }
    });
}
