//! Max-pool 3×3, stride 2, padding 1, with the position of every maximum remembered for the gradient.
//!
//! Padding never wins; of equal values the first of the window, row by row, takes the whole gradient (as in PyTorch).

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::storage::{slice, tensor, with_numbers};

const KERNEL: usize = 3;
const STRIDE: usize = 2;
const PADDING: usize = 1;

/// Side of the result for an input side.
pub fn output_side(side: usize) -> usize {
    (side + 2 * PADDING - KERNEL) / STRIDE + 1
}

/// The largest value of every window, and its place within the input plane.
/// x: planes of `height` × `width`; y and places: planes of the output size.
pub fn forward(height: usize, width: usize, x: &[f32], y: &mut [f32], places: &mut [u32]) {
    let (out_height, out_width) = (output_side(height), output_side(width));
    let area = out_height * out_width;
    x.par_chunks(height * width).zip(y.par_chunks_mut(area)).zip(places.par_chunks_mut(area)).for_each(
        |((x, y), places)| {
            for (window, (y, place)) in y.iter_mut().zip(places).enumerate() {
                let (row, column) = (window / out_width * STRIDE, window % out_width * STRIDE);
                let inside = row >= PADDING && column >= PADDING && row + PADDING < height && column + PADDING < width;
                // Nearly all windows lie inside; with fixed bounds their loops are unrolled.
                let best = if inside {
                    first_largest(x, width, row - PADDING..row + KERNEL - PADDING, column - PADDING, KERNEL)
                } else {
                    let start = column.saturating_sub(PADDING);
                    let end = (column + KERNEL - PADDING).min(width);
                    let rows = row.saturating_sub(PADDING)..(row + KERNEL - PADDING).min(height);
                    first_largest(x, width, rows, start, end - start)
                };
                (*y, *place) = (x[best], best as u32);
            }
        },
    );
}

/// Place of the largest value in these rows and `count` columns from `column` on; of equal ones the first.
#[inline(always)]
fn first_largest(x: &[f32], width: usize, rows: Range<usize>, column: usize, count: usize) -> usize {
    let mut best = rows.start * width + column;
    for row in rows {
        let start = row * width + column;
        for at in start..start + count {
            if x[at] > x[best] {
                best = at;
            }
        }
    }
    best
}

/// Gradient of x, planes of `area` values, from the gradient of y and the places; `dx` must be zero.
pub fn backward(area: usize, out_area: usize, dy: &[f32], places: &[u32], dx: &mut [f32]) {
    dx.par_chunks_mut(area).zip(dy.par_chunks(out_area)).zip(places.par_chunks(out_area)).for_each(
        |((dx, dy), places)| {
            for (&gradient, &place) in dy.iter().zip(places) {
                dx[place as usize] += gradient;
            }
        },
    );
}

/// Max-pool of x (C, N, H, W) → (C, N, ⌈H/2⌉, ⌈W/2⌉).
pub fn max_pool(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(MaxPool { places: Arc::default() })
}

struct MaxPool {
    /// Written by the forward pass of this one application.
    places: Arc<OnceLock<Vec<u32>>>,
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (channels, images, height, width) = layout.shape().dims4()?;
        if height == 0 || width == 0 {
            bail!("max-pool of an empty plane: {:?}", layout.shape());
        }
        let shape = (channels, images, output_side(height), output_side(width));
        let count = channels * images * shape.2 * shape.3;
        let (mut y, mut places) = (vec![0.0; count], vec![0; count]);
        forward(height, width, slice(x, layout)?, &mut y, &mut places);
        // Only one forward pass happens per application; a second would see the same input.
        let _ = self.places.set(places);
        Ok((CpuStorage::F32(y), shape.into()))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Some(places) = self.places.get() else { bail!("max-pool: backward before forward") };
        let ((_, _, height, width), (_, _, out_height, out_width)) = (x.dims4()?, y.dims4()?);
        let mut dx = vec![0.0; x.elem_count()];
        with_numbers(dy, |dy| {
            backward(height * width, out_height * out_width, dy, places, &mut dx);
            Ok(())
        })?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}
