//! Convolutions of any size as matrix products over the patches under their results.
//!
//! No patch is copied together: in an image with its border of zeros, a result's place and an element of its patch are
//! two offsets whose sum is where the number lies, and the product takes them so. Where the stride is 1 the input's
//! gradient is such a convolution too, of dy with the kernels turned round; else the gradients of whole patches are
//! added up. Threads take images, or for the weight gradient elements of a patch; every number is summed in an order
//! that depends on the sizes alone.

use rayon::prelude::*;

use super::Finish;
use super::geometry::Geometry;
use crate::engine::lanes::{Lanes, blocks, split};
use crate::engine::maps::Maps;
use crate::engine::matrix_product::{Left, Offsets, Out, Right, VECTOR, packed_at, padded, panels, product};
use crate::engine::scratch::Scratch;
use crate::engine::simd::vectorise;

/// Numbers worked on at a time by a thread: half of a second-level cache.
const BLOCK: usize = 256 * 1024;
/// Rows of a product below which reading its weights costs more than the arithmetic.
const FEWEST_ROWS: usize = 96;

/// y = weight * x, finished as asked.
pub fn forward(g: &Geometry, x: &[f32], weight: &[f32], y: &mut [f32], finish: &Finish) {
    let weights = packed(weight, &g.kernel_places(), &steps(g.outputs, g.patch()));
    convolve(g, x, &weights, y, finish);
}

/// Adds the gradient of x (N, H, W, C) to `dx`.
pub fn input_gradient(g: &Geometry, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
    let Some(turned) = g.turned_round() else { return scattered_input_gradient(g, weight, dy, dx) };
    let taps = g.kernel * g.kernel;
    let places: Vec<usize> =
        (0..taps).rev().flat_map(|tap| (0..g.outputs).map(move |output| output * g.patch() + tap)).collect();
    let weights = packed(weight, &places, &steps(g.channels, taps));
    convolve(&turned, dy, &weights, dx, &Finish::Add);
}

/// Gradient of the weight (O, C, k, k).
pub fn weight_gradient(g: &Geometry, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let area = g.output().area();
    let x = Bordered::new(g, x);
    let elements = x.elements(g);
    // Products read whole vectors of columns.
    let stride = g.outputs.next_multiple_of(VECTOR);
    let padded_rows = (stride != g.outputs).then(|| {
        let mut rows = Scratch::zeros(dy.len() / g.outputs * stride);
        for (to, from) in rows.chunks_exact_mut(stride).zip(dy.chunks_exact(g.outputs)) {
            to[..g.outputs].copy_from_slice(from);
        }
        rows
    });
    let dy: &[f32] = padded_rows.as_deref().unwrap_or(dy);
    let per_block = (BLOCK / (x.size + area * stride)).max(1);
    let places = x.places(g, per_block.min(g.images));
    let mut gradients = Scratch::take(g.patch() * stride);
    let target = Lanes::new(&mut gradients);
    split(g.patch(), rayon::current_num_threads()).into_par_iter().for_each(|here| {
        // SAFETY: these rows are this task's own.
        let target = unsafe { target.slice(here.start * stride, here.len() * stride) };
        let elements = &elements[here.clone()];
        for images in blocks(0..g.images, per_block) {
            let pixels = images.len() * area;
            let left = Left {
                values: x.images(images.start, images.len()),
                rows: Offsets::Listed(elements),
                inner: Offsets::Listed(&places[..pixels]),
            };
            let right = Right::rows(&dy[images.start * area * stride..][..pixels * stride], stride);
            let sizes = [here.len(), g.outputs, pixels];
            product(sizes, 0..panels(g.outputs), Out::new(target, stride), left, right, images.start > 0);
        }
    });
    unpack_gradient(g, &gradients, stride, dweight);
}

/// Images with a border of zeros as wide as the padding.
struct Bordered<'a> {
    /// The images themselves where they need none.
    plain: &'a [f32],
    copied: Option<Scratch>,
    maps: Maps,
    /// Numbers of one.
    size: usize,
}

impl<'a> Bordered<'a> {
    fn new(g: &Geometry, x: &'a [f32]) -> Self {
        let Maps { height, width, channels } = g.input();
        let maps = Maps { height: height + 2 * g.padding, width: width + 2 * g.padding, channels };
        let copied = (g.padding > 0).then(|| {
            let mut copied = Scratch::take(x.len() / g.input().size() * maps.size());
            copied
                .par_chunks_mut(maps.size())
                .zip(x.par_chunks(g.input().size()))
                .for_each(|(to, from)| put_border(g, from, to, maps));
            copied
        });
        Self { plain: x, copied, maps, size: maps.size() }
    }

    fn images(&self, first: usize, count: usize) -> &[f32] {
        &self.copied.as_deref().unwrap_or(self.plain)[first * self.size..][..count * self.size]
    }

    /// Where the patches of `images` images begin.
    fn places(&self, g: &Geometry, images: usize) -> Vec<usize> {
        let Maps { height, width, .. } = g.output();
        let mut places = Vec::with_capacity(images * height * width);
        for image in 0..images {
            for y in 0..height {
                let line = image * self.size + y * g.stride * self.maps.width * g.channels;
                places.extend((0..width).map(|x| line + x * g.stride * g.channels));
            }
        }
        places
    }

    /// Where the elements (kernel row, kernel column, channel) of a patch lie from its beginning.
    fn elements(&self, g: &Geometry) -> Vec<usize> {
        let line = g.kernel * g.channels;
        (0..g.patch()).map(|element| element / line * self.maps.width * g.channels + element % line).collect()
    }
}

fn put_border(g: &Geometry, from: &[f32], to: &mut [f32], maps: Maps) {
    let (line, edge) = (maps.width * maps.channels, g.padding * maps.channels);
    let inside = g.padding..g.padding + g.height;
    for (row, to) in to.chunks_exact_mut(line).enumerate() {
        if !inside.contains(&row) {
            to.fill(0.0);
            continue;
        }
        let from = &from[(row - g.padding) * g.width * g.channels..][..g.width * g.channels];
        to[..edge].fill(0.0);
        to[edge..edge + from.len()].copy_from_slice(from);
        to[edge + from.len()..].fill(0.0);
    }
}

/// y = weights * x, with packed weights (element of a patch, output).
fn convolve(g: &Geometry, x: &[f32], weights: &[f32], y: &mut [f32], finish: &Finish) {
    let area = g.output().area();
    let x = Bordered::new(g, x);
    let per_block = (BLOCK / (x.size + g.output().size())).max(FEWEST_ROWS.div_ceil(area));
    let (places, elements) = (x.places(g, per_block.min(g.images)), x.elements(g));
    let y = Lanes::new(y);
    split(g.images, rayon::current_num_threads()).into_par_iter().for_each(|lane| {
        for images in blocks(lane, per_block) {
            let pixels = images.len() * area;
            // SAFETY: these images are this lane's own.
            let y = unsafe { y.slice(images.start * area * g.outputs, pixels * g.outputs) };
            let left = Left {
                values: x.images(images.start, images.len()),
                rows: Offsets::Listed(&places[..pixels]),
                inner: Offsets::Listed(&elements),
            };
            let right = Right::packed(weights, g.patch(), g.outputs);
            let add = matches!(finish, Finish::Add);
            product([pixels, g.outputs, g.patch()], 0..panels(g.outputs), Out::new(y, g.outputs), left, right, add);
            finish.apply(images.start * area * g.outputs, y, g.outputs);
        }
    });
}

/// Adds the gradients of whole patches to the places they were read from.
fn scattered_input_gradient(g: &Geometry, weight: &[f32], dy: &[f32], dx: &mut [f32]) {
    let (patch, area) = (g.patch(), g.output().area());
    let weights = packed(weight, &steps(g.outputs, patch), &g.kernel_places());
    let per_block = (BLOCK / (patch * area)).max(FEWEST_ROWS.div_ceil(area));
    let dx = Lanes::new(dx);
    split(g.images, rayon::current_num_threads()).into_par_iter().for_each(|lane| {
        for images in blocks(lane, per_block) {
            let pixels = images.len() * area;
            let mut rows = Scratch::take(pixels * patch);
            let values = &dy[images.start * area * g.outputs..][..pixels * g.outputs];
            let left = Left { values, rows: Offsets::Even(g.outputs), inner: Offsets::Even(1) };
            let right = Right::packed(&weights, g.outputs, patch);
            product([pixels, patch, g.outputs], 0..panels(patch), Out::new(&mut rows, patch), left, right, false);
            // SAFETY: these images are this lane's own.
            let dx = unsafe { dx.slice(images.start * g.input().size(), images.len() * g.input().size()) };
            add_patches(g, &rows, dx);
        }
    });
}

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
                            let Some((first, end, start)) = run(g, y, x, ky) else { continue };
                            let source = &row[ky * line..][first..end];
                            let target = &mut image[start..][..source.len()];
                            target.iter_mut().zip(source).for_each(|(to, from)| *to += from);
                        }
                    }
                }
            }
        },
    );
}

/// The part of kernel row `ky` of the patch at (`y`, `x`) that lies inside the image: its first element and its end in
/// that row of k·C, and where it begins in the image.
#[inline(always)]
fn run(g: &Geometry, y: usize, x: usize, ky: usize) -> Option<(usize, usize, usize)> {
    let row = (y * g.stride + ky).checked_sub(g.padding).filter(|&row| row < g.height)?;
    let column = x * g.stride;
    let first = g.padding.saturating_sub(column);
    let end = (g.width + g.padding).saturating_sub(column).min(g.kernel);
    let start = (row * g.width + column + first).checked_sub(g.padding)? * g.channels;
    (first < end).then_some((first * g.channels, end * g.channels, start))
}

/// `count` offsets, `step` apart.
fn steps(count: usize, step: usize) -> Vec<usize> {
    (0..count).map(|at| at * step).collect()
}

/// Panels of (inner, column), zero beyond the last column, from a kernel's numbers at the sums of both offsets.
fn packed(weight: &[f32], inner: &[usize], columns: &[usize]) -> Scratch {
    let (rows, count) = (inner.len(), columns.len());
    let mut packed = Scratch::take(rows * padded(count));
    let target = Lanes::new(&mut packed);
    (0..padded(count) / VECTOR).into_par_iter().for_each(|block| {
        let first = block * VECTOR;
        let columns = &columns[first.min(count)..(first + VECTOR).min(count)];
        for (row, start) in inner.iter().enumerate() {
            // SAFETY: these columns are this task's own.
            let to = unsafe { target.slice(packed_at(row, first, rows, count), VECTOR) };
            to[columns.len()..].fill(0.0);
            to.iter_mut().zip(columns).for_each(|(to, column)| *to = weight[start + column]);
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
