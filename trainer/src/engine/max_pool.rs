//! Max-pool 3×3, stride 2, padding 1, with the position of every maximum remembered for the gradient.
//!
//! Padding never wins; of equal values the first of the window, row by row, takes the whole gradient (as in PyTorch).

use candle_core::{Result, bail};
use rayon::prelude::*;

use super::maps::{Activations, Maps};
use super::scratch::Scratch;
use super::simd::{LANES, by_vectors, lanes, load, store, vectorise};
use super::tape::{Gradients, Node, Place, Record, Tape};

const KERNEL: usize = 3;
const STRIDE: usize = 2;
const PADDING: usize = 1;

/// Side of the result for an input side.
pub fn output_side(side: usize) -> usize {
    (side + 2 * PADDING - KERNEL) / STRIDE + 1
}

/// Max-pool of x (N, H, W, C) → (N, ⌈H/2⌉, ⌈W/2⌉, C).
pub fn max_pool(tape: &mut Tape, x: &Node) -> Result<Node> {
    let (y, taps) = forward(x.value())?;
    let record = MaxPool { x: x.place(), maps: x.value().maps, images: y.images, taps };
    Ok(tape.result(y.into(), record))
}

/// The same without a gradient, and the winning tap of every window.
pub fn forward(x: &Activations) -> Result<(Activations, Vec<u8>)> {
    let maps = x.maps;
    if x.numbers().is_empty() {
        bail!("max-pool of nothing: {} images of {maps:?}", x.images);
    }
    let size = outputs(maps) * maps.channels;
    let mut y = Scratch::take(x.images * size);
    let mut taps = vec![0; x.images * size];
    y.par_chunks_mut(size)
        .zip(taps.par_chunks_mut(size))
        .zip(x.numbers().par_chunks(maps.size()))
        .for_each(|((y, taps), x)| forward_image(maps, x, y, taps));
    let pooled = Maps { height: output_side(maps.height), width: output_side(maps.width), ..maps };
    Ok((Activations::new(x.images, pooled, y)?, taps))
}

/// Windows of an image.
fn outputs(maps: Maps) -> usize {
    output_side(maps.height) * output_side(maps.width)
}

/// Every tap of a window that lies inside the image, row by row: its number (as a float, to be chosen like the values),
/// and where it begins.
#[inline(always)]
fn taps(maps: Maps, window: usize) -> impl Iterator<Item = (f32, usize)> {
    let across = output_side(maps.width);
    let (top, left) = (window / across * STRIDE, window % across * STRIDE);
    (0..KERNEL * KERNEL).filter_map(move |tap| {
        let row = (top + tap / KERNEL).checked_sub(PADDING).filter(|&row| row < maps.height)?;
        let column = (left + tap % KERNEL).checked_sub(PADDING).filter(|&column| column < maps.width)?;
        Some((tap as f32, (row * maps.width + column) * maps.channels))
    })
}

/// The largest value of every window of one image, and the tap that it came from.
fn forward_image(maps: Maps, x: &[f32], y: &mut [f32], winners: &mut [u8]) {
    let channels = maps.channels;
    vectorise(
        #[inline(always)]
        || {
            let windows = y.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
            for (window, (y, winners)) in windows.enumerate() {
                by_vectors!(channels, |first, width, FULL| {
                    let (mut largest, mut winner) = ([0.0; LANES], [0.0; LANES]);
                    for (number, (tap, at)) in taps(maps, window).enumerate() {
                        let x = load::<FULL>(&x[at + first..], width);
                        if number == 0 {
                            (largest, winner) = (x, [tap; LANES]);
                        }
                        winner = lanes(|lane| if x[lane] > largest[lane] { tap } else { winner[lane] });
                        largest = lanes(|lane| if x[lane] > largest[lane] { x[lane] } else { largest[lane] });
                    }
                    store::<FULL>(&largest, &mut y[first..], width);
                    for (to, tap) in winners[first..][..width].iter_mut().zip(winner) {
                        *to = tap as u8;
                    }
                });
            }
        },
    );
}

/// Adds one image's gradient to `dx`.
fn backward_image(maps: Maps, dy: &[f32], winners: &[u8], dx: &mut [f32]) {
    let channels = maps.channels;
    vectorise(
        #[inline(always)]
        || {
            let windows = dy.chunks_exact(channels).zip(winners.chunks_exact(channels));
            for (window, (dy, winners)) in windows.enumerate() {
                by_vectors!(channels, |first, width, FULL| {
                    let dy = load::<FULL>(&dy[first..], width);
                    let mut winner = [0.0; LANES];
                    for (to, tap) in winner.iter_mut().zip(&winners[first..][..width]) {
                        *to = f32::from(*tap);
                    }
                    for (tap, at) in taps(maps, window) {
                        let before = load::<FULL>(&dx[at + first..], width);
                        let sum = lanes(|lane| before[lane] + if winner[lane] == tap { dy[lane] } else { 0.0 });
                        store::<FULL>(&sum, &mut dx[at + first..], width);
                    }
                });
            }
        },
    );
}

struct MaxPool {
    x: Place,
    maps: Maps,
    images: usize,
    /// The winning tap of every window.
    taps: Vec<u8>,
}

impl Record for MaxPool {
    fn backward(self: Box<Self>, dy: Scratch, gradients: &mut Gradients) -> Result<()> {
        let Self { x, maps, images, taps } = *self;
        let size = outputs(maps) * maps.channels;
        let mut dx = Scratch::take(images * maps.size());
        let sources = dy.par_chunks(size).zip(taps.par_chunks(size));
        dx.par_chunks_mut(maps.size()).zip(sources).for_each(|(dx, (dy, taps))| {
            dx.fill(0.0);
            backward_image(maps, dy, taps, dx);
        });
        gradients.add(x, dx);
        Ok(())
    }
}
