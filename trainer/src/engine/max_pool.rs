//! Max-pool 3×3, stride 2, padding 1, with the position of every maximum remembered for the gradient.
//!
//! Padding never wins; of equal values the first of the window, row by row, takes the whole gradient (as in PyTorch).

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::simd::vectorise;
use super::storage::{slice, tensor, with_numbers};
use super::timing::{Operator, timed};

const KERNEL: usize = 3;
const STRIDE: usize = 2;
const PADDING: usize = 1;

/// Side of the result for an input side.
pub fn output_side(side: usize) -> usize {
    (side + 2 * PADDING - KERNEL) / STRIDE + 1
}

/// Max-pool of x (N, H, W, C) → (N, ⌈H/2⌉, ⌈W/2⌉, C).
pub fn max_pool(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1(MaxPool { taps: Arc::default() })
}

/// One image's size.
#[derive(Clone, Copy)]
struct Maps {
    height: usize,
    width: usize,
    channels: usize,
}

impl Maps {
    fn outputs(&self) -> usize {
        output_side(self.height) * output_side(self.width)
    }

    /// Where every tap of a window that lies inside the image begins, row by row.
    #[inline(always)]
    fn taps(self, window: usize) -> impl Iterator<Item = (u8, usize)> {
        let across = output_side(self.width);
        let (top, left) = (window / across * STRIDE, window % across * STRIDE);
        (0..KERNEL * KERNEL).filter_map(move |tap| {
            let row = (top + tap / KERNEL).checked_sub(PADDING).filter(|&row| row < self.height)?;
            let column = (left + tap % KERNEL).checked_sub(PADDING).filter(|&column| column < self.width)?;
            Some((tap as u8, (row * self.width + column) * self.channels))
        })
    }
}

/// The largest value of every window of one image, and the tap that it came from.
fn forward_image(maps: Maps, x: &[f32], y: &mut [f32], taps: &mut [u8]) {
    let channels = maps.channels;
    vectorise(
        #[inline(always)]
        || {
            let windows = y.chunks_exact_mut(channels).zip(taps.chunks_exact_mut(channels));
            for (window, (y, winners)) in windows.enumerate() {
                for (number, (tap, at)) in maps.taps(window).enumerate() {
                    let x = &x[at..][..channels];
                    if number == 0 {
                        y.copy_from_slice(x);
                        winners.fill(tap);
                        continue;
                    }
                    for ((y, winner), x) in y.iter_mut().zip(&mut *winners).zip(x) {
                        let wins = *x > *y;
                        *y = if wins { *x } else { *y };
                        *winner = if wins { tap } else { *winner };
                    }
                }
            }
        },
    );
}

/// Adds one image's gradient to `dx`.
fn backward_image(maps: Maps, dy: &[f32], taps: &[u8], dx: &mut [f32]) {
    let channels = maps.channels;
    vectorise(
        #[inline(always)]
        || {
            let windows = dy.chunks_exact(channels).zip(taps.chunks_exact(channels));
            for (window, (dy, winners)) in windows.enumerate() {
                for (tap, at) in maps.taps(window) {
                    for ((dx, dy), winner) in dx[at..][..channels].iter_mut().zip(dy).zip(winners) {
                        *dx += if *winner == tap { *dy } else { 0.0 };
                    }
                }
            }
        },
    );
}

struct MaxPool {
    /// The winning tap of every window, written by the forward pass of this one application.
    taps: Arc<OnceLock<Vec<u8>>>,
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (images, height, width, channels) = layout.shape().dims4()?;
        if layout.shape().elem_count() == 0 {
            bail!("max-pool of nothing: {:?}", layout.shape());
        }
        let maps = Maps { height, width, channels };
        let count = images * maps.outputs() * channels;
        let (mut y, mut taps) = (vec![0.0; count], vec![0; count]);
        let (size, out_size) = (height * width * channels, maps.outputs() * channels);
        let x = slice(x, layout)?;
        timed(Operator::MaxPool, || {
            y.par_chunks_mut(out_size)
                .zip(taps.par_chunks_mut(out_size))
                .zip(x.par_chunks(size))
                .for_each(|((y, taps), x)| forward_image(maps, x, y, taps));
        });
        // Only one forward pass happens per application; a second would see the same input.
        let _ = self.taps.set(taps);
        Ok((CpuStorage::F32(y), (images, output_side(height), output_side(width), channels).into()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Some(taps) = self.taps.get() else { bail!("max-pool: backward before forward") };
        let (_, height, width, channels) = x.dims4()?;
        let maps = Maps { height, width, channels };
        let (size, out_size) = (height * width * channels, maps.outputs() * channels);
        let mut dx = vec![0.0; x.elem_count()];
        with_numbers(dy, |dy| {
            let sources = dy.par_chunks(out_size).zip(taps.par_chunks(out_size));
            timed(Operator::MaxPool, || {
                dx.par_chunks_mut(size).zip(sources).for_each(|(dx, (dy, taps))| backward_image(maps, dy, taps, dx));
            });
            Ok(())
        })?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}
