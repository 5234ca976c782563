//! 3×3 convolutions with stride 1 by Winograd's minimal filtering: tiles of the maps are transformed to points, each
//! point is a matrix product over the channels, and its results are transformed back ([`super::tiles`]).
//!
//! Points are kept as [point][tile][channel]. Forward and input gradient take a thread's images in blocks whose points
//! stay in its cache; the weight gradient needs every tile of the batch and is split among the threads by points. Every
//! number is summed in an order that depends on the sizes alone, so results are the same on any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::Finish;
use super::geometry::Geometry;
use super::tiles::{Four, Matrix, Three, Tile, Transposed, Two, empty, read_patch, transform, write_patch};
use crate::engine::lanes::{Lanes, blocks, split};
use crate::engine::maps::Maps;
use crate::engine::matrix_product::{Left, Offsets, Out, Right, VECTOR, WIDEST, packed_at, padded, panels, product};
use crate::engine::scratch::Scratch;
use crate::engine::simd::{LANES, by_vectors, load, store, vectorise};

/// Numbers of points worked on at a time by a thread: half of a second-level cache.
const BLOCK: usize = 256 * 1024;
/// Rows of a product below which reading its weights costs more than the arithmetic.
const FEWEST_ROWS: usize = 48;

/// Fewest channels on either side for tiles of 2, and for larger ones, which save more: below, the transforms cost more
/// than the multiplications they save.
const FEWEST_CHANNELS: [usize; 2] = [48, 24];
/// Largest share of the plain sum's multiplications that pays for the transforms.
const LARGEST_SHARE: f64 = 0.6;

/// The two passes of one convolution.
pub trait Filtering {
    /// y = weight * x, finished as asked.
    fn forward(&self, x: &[f32], weight: &[f32], y: &mut [f32], finish: &Finish);

    /// Gradients of the weight and, where wanted, of x (added to `dx`).
    fn backward(&self, x: &[f32], weight: &[f32], dy: &[f32], dweight: &mut [f32], dx: Option<&mut [f32]>);
}

/// The convolution on the tiles, of sides up to `largest`, that take fewest multiplications; `None` where the plain sum
/// is cheaper.
pub fn filtering<'a>(geometry: &'a Geometry, largest: usize) -> Option<Box<dyn Filtering + 'a>> {
    if geometry.kernel != 3 || geometry.stride != 1 {
        return None;
    }
    let (height, width) = (geometry.output_height(), geometry.output_width());
    let cost = |side: usize| height.div_ceil(side) * width.div_ceil(side) * (side + 2) * (side + 2);
    let side = (2..=largest).min_by_key(|&side| cost(side))?;
    let share = cost(side) as f64 / (9 * height * width) as f64;
    let channels = geometry.channels.min(geometry.outputs);
    if share > LARGEST_SHARE || channels < FEWEST_CHANNELS[usize::from(side > 2)] {
        return None;
    }
    Some(match side {
        2 => Box::new(Plan::<Two, 2, 4>::new(geometry)),
        3 => Box::new(Plan::<Three, 3, 5>::new(geometry)),
        _ => Box::new(Plan::<Four, 4, 6>::new(geometry)),
    })
}

/// One convolution on tiles of M × M, with P × P points each.
struct Plan<'a, T, const M: usize, const P: usize> {
    geometry: &'a Geometry,
    input: Maps,
    output: Maps,
    /// Tiles of an image, down and across.
    down: usize,
    across: usize,
    tile: std::marker::PhantomData<fn() -> T>,
}

/// Some images' points: rows of `stride` channels, `rows` of them per point, of which this block's begin at `first`.
struct Points<'a> {
    numbers: &'a Lanes<'a>,
    rows: usize,
    first: usize,
    stride: usize,
}

impl Points<'_> {
    fn at(&self, point: usize, tile: usize) -> usize {
        (point * self.rows + self.first + tile) * self.stride
    }
}

impl<T: Tile<M, P>, const M: usize, const P: usize> Filtering for Plan<'_, T, M, P> {
    fn forward(&self, x: &[f32], weight: &[f32], y: &mut [f32], finish: &Finish) {
        let (inputs, outputs) = (self.input.channels, self.output.channels);
        let weights = self.transformed_weights(weight, [inputs, outputs], [9, 9 * inputs]);
        let y = Lanes::new(y);
        split(self.geometry.images, rayon::current_num_threads()).into_par_iter().for_each(|lane| {
            for images in blocks(lane, self.images_per_block()) {
                let rows = images.len() * self.tiles();
                let stride = outputs.next_multiple_of(VECTOR);
                let mut x_points = Scratch::take(P * P * rows * inputs);
                let mut y_points = Scratch::take(P * P * rows * stride);
                let target = Lanes::new(&mut x_points);
                let to = Points { numbers: &target, rows, first: 0, stride: inputs };
                self.read_tiles::<T::Input, P>(&self.input, x, self.origin(), images.clone(), &to);
                for point in 0..P * P {
                    let left = Left {
                        values: &x_points[point * rows * inputs..][..rows * inputs],
                        rows: Offsets::Even(inputs),
                        inner: Offsets::Even(1),
                    };
                    let out = Out::new(&mut y_points[point * rows * stride..][..rows * stride], stride);
                    let right = Right::packed(self.of_point(&weights, point), inputs, outputs);
                    product([rows, outputs, inputs], 0..panels(outputs), out, left, right, false);
                }
                let source = Lanes::new(&mut y_points);
                let from = Points { numbers: &source, rows, first: 0, stride };
                self.write_tiles::<T::Output, M>(&self.output, &from, &y, 0, images, finish);
            }
        });
    }

    fn backward(&self, x: &[f32], weight: &[f32], dy: &[f32], dweight: &mut [f32], dx: Option<&mut [f32]>) {
        let (inputs, outputs) = (self.input.channels, self.output.channels);
        let stride = outputs.next_multiple_of(VECTOR);
        let rows = self.geometry.images * self.tiles();
        let mut x_points = Scratch::take(P * P * rows * inputs);
        let mut dy_points = Scratch::take(P * P * rows * stride);
        {
            let (x_points, dy_points) = (Lanes::new(&mut x_points), Lanes::new(&mut dy_points));
            let weights = dx.is_some().then(|| self.transformed_weights(weight, [outputs, inputs], [9 * inputs, 9]));
            let dx = dx.map(Lanes::new);
            split(self.geometry.images, rayon::current_num_threads()).into_par_iter().for_each(|lane| {
                for images in blocks(lane, self.images_per_block()) {
                    let first = images.start * self.tiles();
                    let x_points = Points { numbers: &x_points, rows, first, stride: inputs };
                    let dy_points = Points { numbers: &dy_points, rows, first, stride };
                    self.read_tiles::<T::Input, P>(&self.input, x, self.origin(), images.clone(), &x_points);
                    self.read_tiles::<Transposed<T::Output>, M>(&self.output, dy, 0, images.clone(), &dy_points);
                    if let (Some(weights), Some(dx)) = (&weights, &dx) {
                        self.input_gradient(weights, &dy_points, images, dx);
                    }
                }
            });
        }
        self.weight_gradient(&x_points, &dy_points, rows, dweight);
    }
}

impl<'a, T: Tile<M, P>, const M: usize, const P: usize> Plan<'a, T, M, P> {
    fn new(geometry: &'a Geometry) -> Self {
        let (input, output) = (geometry.input(), geometry.output());
        let (down, across) = (output.height.div_ceil(M), output.width.div_ceil(M));
        Self { geometry, input, output, down, across, tile: std::marker::PhantomData }
    }

    fn tiles(&self) -> usize {
        self.down * self.across
    }

    fn images_per_block(&self) -> usize {
        let per_image = P * P * self.tiles() * (self.input.channels + self.output.channels);
        (BLOCK / per_image).max(FEWEST_ROWS.div_ceil(self.tiles()))
    }

    /// Where the inputs of the first tile begin.
    fn origin(&self) -> isize {
        -(self.geometry.padding as isize)
    }

    /// From the points of dy to what they add to dx.
    fn input_gradient(&self, weights: &[f32], dy_points: &Points, images: Range<usize>, dx: &Lanes) {
        let (inputs, outputs) = (self.input.channels, self.output.channels);
        let rows = images.len() * self.tiles();
        let mut dx_points = Scratch::take(P * P * rows * inputs);
        for point in 0..P * P {
            // SAFETY: this block's points are this lane's own.
            let values = unsafe { dy_points.numbers.slice(dy_points.at(point, 0), rows * dy_points.stride) };
            let left = Left { values, rows: Offsets::Even(dy_points.stride), inner: Offsets::Even(1) };
            let out = Out::new(&mut dx_points[point * rows * inputs..][..rows * inputs], inputs);
            let right = Right::packed(self.of_point(weights, point), outputs, inputs);
            product([rows, inputs, outputs], 0..panels(inputs), out, left, right, false);
        }
        let source = Lanes::new(&mut dx_points);
        let from = Points { numbers: &source, rows, first: 0, stride: inputs };
        self.write_tiles::<Transposed<T::Input>, P>(&self.input, &from, dx, self.origin(), images, &Finish::Add);
    }

    /// dU = Vᵀ dM at every point, then Gᵀ dU G.
    fn weight_gradient(&self, x_points: &[f32], dy_points: &[f32], rows: usize, dweight: &mut [f32]) {
        let (inputs, outputs) = (self.input.channels, self.output.channels);
        let stride = outputs.next_multiple_of(VECTOR);
        let mut gradients = Scratch::take(P * P * inputs * stride);
        let length = gradients.len();
        let target = Lanes::new(&mut gradients);
        (0..P * P * panels(outputs)).into_par_iter().for_each(|task| {
            let (point, panel) = (task / panels(outputs), task % panels(outputs));
            let values = &x_points[point * rows * inputs..][..rows * inputs];
            let left = Left { values, rows: Offsets::Even(1), inner: Offsets::Even(inputs) };
            let right = Right::rows(&dy_points[point * rows * stride..][..rows * stride], stride);
            let start = point * inputs * stride;
            // SAFETY: the columns of this panel at this point are this task's own.
            let out = unsafe { Out::shared(target.at(start, length - start), inputs * stride, stride) };
            product([inputs, outputs, rows], panel..panel + 1, out, left, right, false);
        });
        self.gather_weight_gradient(&gradients, stride, dweight);
    }

    /// Gᵀ dU G of [point][input][output] into dweight (O, C, 3, 3).
    fn gather_weight_gradient(&self, gradients: &[f32], stride: usize, dweight: &mut [f32]) {
        let (inputs, outputs) = (self.input.channels, self.output.channels);
        dweight.par_chunks_mut(VECTOR * inputs * 9).enumerate().for_each(|(block, dweight)| {
            let first = block * VECTOR;
            let count = VECTOR.min(outputs - first);
            vectorise(
                #[inline(always)]
                || {
                    let (mut points, mut taps) = (empty::<P>(), empty::<3>());
                    for input in 0..inputs {
                        for point in 0..P * P {
                            let from = &gradients[(point * inputs + input) * stride + first..][..VECTOR];
                            points[point / P][point % P].copy_from_slice(from);
                        }
                        transform::<Transposed<T::Weight>, P, 3>(&points, &mut taps);
                        for output in 0..count {
                            let kernel = &mut dweight[(output * inputs + input) * 9..][..9];
                            for (tap, value) in kernel.iter_mut().enumerate() {
                                *value = taps[tap / 3][tap % 3][output];
                            }
                        }
                    }
                },
            );
        });
    }

    /// G w Gᵀ of every kernel, [point] × packed panels (inner, column); a kernel lies at inner · strides[0] + column ·
    /// strides[1] of `weight`.
    fn transformed_weights(&self, weight: &[f32], [inner, columns]: [usize; 2], strides: [usize; 2]) -> Scratch {
        let size = inner * padded(columns);
        let mut transformed = Scratch::take(P * P * size);
        let target = Lanes::new(&mut transformed);
        (0..padded(columns) / VECTOR).into_par_iter().for_each(|block| {
            let first = block * VECTOR;
            let count = columns.saturating_sub(first).min(VECTOR);
            vectorise(
                #[inline(always)]
                || {
                    let (mut points, mut taps) = (empty::<P>(), empty::<3>());
                    for row in 0..inner {
                        for column in 0..count {
                            let kernel = &weight[row * strides[0] + (first + column) * strides[1]..][..9];
                            for (tap, value) in kernel.iter().enumerate() {
                                taps[tap / 3][tap % 3][column] = *value;
                            }
                        }
                        transform::<T::Weight, 3, P>(&taps, &mut points);
                        for point in 0..P * P {
                            let at = point * size + packed_at(row, first, inner, columns);
                            // SAFETY: these columns are this task's own.
                            let to = unsafe { target.slice(at, VECTOR) };
                            to.copy_from_slice(&points[point / P][point % P]);
                        }
                    }
                },
            );
        });
        transformed
    }

    fn of_point<'w>(&self, weights: &'w [f32], point: usize) -> &'w [f32] {
        let size = weights.len() / (P * P);
        &weights[point * size..][..size]
    }

    /// Transforms every tile of some images by X: tiles of S × S, M apart, the first at `origin`.
    fn read_tiles<X: Matrix<S, P>, const S: usize>(
        &self,
        maps: &Maps,
        numbers: &[f32],
        origin: isize,
        images: Range<usize>,
        to: &Points,
    ) {
        vectorise(
            #[inline(always)]
            || {
                let (mut patch, mut points) = (empty::<S>(), empty::<P>());
                for (number, image) in images.enumerate() {
                    let image = &numbers[image * maps.size()..][..maps.size()];
                    for tile in 0..self.tiles() {
                        let corner = self.corner(tile, origin);
                        by_vectors!(maps.channels, |first, width, FULL| {
                            read_patch::<S, FULL>(maps, image, corner, first, width, &mut patch);
                            transform::<X, S, P>(&patch, &mut points);
                            for point in 0..P * P {
                                let at = to.at(point, number * self.tiles() + tile) + first;
                                // SAFETY: the rows of these images are this lane's own.
                                let row = unsafe { to.numbers.slice(at, width) };
                                store::<FULL>(&points[point / P][point % P], row, width);
                            }
                        });
                    }
                }
            },
        );
    }

    /// Transforms points back to tiles of S × S, M apart, the first at `origin`.
    fn write_tiles<X: Matrix<P, S>, const S: usize>(
        &self,
        maps: &Maps,
        from: &Points,
        numbers: &Lanes,
        origin: isize,
        images: Range<usize>,
        finish: &Finish,
    ) {
        vectorise(
            #[inline(always)]
            || {
                let (mut points, mut patch) = (empty::<P>(), empty::<S>());
                for (number, image) in images.enumerate() {
                    let start = image * maps.size();
                    // SAFETY: these images are this lane's own.
                    let image = unsafe { numbers.slice(start, maps.size()) };
                    for tile in 0..self.tiles() {
                        let [top, left] = self.corner(tile, origin);
                        by_vectors!(maps.channels, |first, width, FULL| {
                            for point in 0..P * P {
                                let at = from.at(point, number * self.tiles() + tile) + first;
                                // SAFETY: so are their points.
                                let row = unsafe { from.numbers.slice(at, width) };
                                points[point / P][point % P] = load::<FULL>(row, width);
                            }
                            transform::<X, P, S>(&points, &mut patch);
                            let place = [start as isize, top, left];
                            write_patch::<S, FULL>(maps, place, image, first, width, &patch, finish);
                        });
                    }
                }
            },
        );
    }

    /// Row and column of a tile's first place.
    #[inline(always)]
    fn corner(&self, tile: usize, origin: isize) -> [isize; 2] {
        [(tile / self.across * M) as isize + origin, (tile % self.across * M) as isize + origin]
    }
}

const _: () = assert!(WIDEST.is_multiple_of(VECTOR) && VECTOR == LANES);
