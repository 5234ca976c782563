//! Winograd's minimal filtering F(m×m, 3×3): the small matrices, and their application to tiles of many channels.
//!
//! A tile of (m+2)² inputs and a 3×3 kernel, both transformed, multiply element by element to what, transformed back,
//! are m² results: y = Aᵀ[(G w Gᵀ) ⊙ (Bᵀ x B)]A (Lavin & Gray 2016). All gradients are these products read backwards,
//! with the transposed matrices. The interpolation points are chosen for small rounding errors (Barabasz et al. 2020):
//! with 256 channels about 1e-6 of the largest result for m = 4, against 2e-7 of m = 2.

use std::marker::PhantomData;

use super::Finish;
use crate::engine::maps::Maps;
use crate::engine::simd::{LANES, Vector, lanes, load, store};

/// The body for every value below `$end` (at most 6), written out: a loop left to the compiler is not always unrolled,
/// and then neither folds the constants nor leaves the loop over channels to the vector instructions.
macro_rules! unrolled {
    ($name:ident < $end:ident, $body:expr) => {
        unrolled!($name < $end, $body; 0 1 2 3 4 5)
    };
    ($name:ident < $end:ident, $body:expr; $($value:literal)*) => {
        $(if $value < $end {
            let $name: usize = $value;
            $body;
        })*
    };
}

/// Rows and columns of `S` × `S` places, each a vector of channels.
pub type Patch<const S: usize> = [[Vector; S]; S];

/// A patch of zeros.
pub const fn empty<const S: usize>() -> Patch<S> {
    [[[0.0; LANES]; S]; S]
}

/// A small constant matrix of O rows and I columns. A type of its own, so that the compiler knows its numbers.
pub trait Matrix<const I: usize, const O: usize> {
    const ROWS: [[f32; I]; O];
}

/// The transposed matrix.
pub struct Transposed<X>(PhantomData<X>);

impl<X: Matrix<I, O>, const I: usize, const O: usize> Matrix<O, I> for Transposed<X> {
    const ROWS: [[f32; O]; I] = transposed(X::ROWS);
}

/// F(M×M, 3×3), with P = M + 2 points along each axis.
pub trait Tile<const M: usize, const P: usize> {
    /// Bᵀ.
    type Input: Matrix<P, P>;
    /// Aᵀ.
    type Output: Matrix<P, M>;
    /// G.
    type Weight: Matrix<3, P>;
}

macro_rules! tile {
    ($name:ident, $side:literal, $points:literal, $input:expr, $output:expr, $weight:expr) => {
        const _: () = {
            pub struct Input;
            pub struct Output;
            pub struct Weight;
            impl Matrix<$points, $points> for Input {
                const ROWS: [[f32; $points]; $points] = $input;
            }
            impl Matrix<$points, $side> for Output {
                const ROWS: [[f32; $points]; $side] = $output;
            }
            impl Matrix<3, $points> for Weight {
                const ROWS: [[f32; 3]; $points] = $weight;
            }
            impl Tile<$side, $points> for $name {
                type Input = Input;
                type Output = Output;
                type Weight = Weight;
            }
        };
    };
}

/// Points 0, 1, −1, ∞.
pub struct Two;

tile!(
    Two,
    2,
    4,
    [[1.0, 0.0, -1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, -1.0, 1.0, 0.0], [0.0, -1.0, 0.0, 1.0]],
    [[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, 1.0]],
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]]
);

/// Points 0, 1, −1, 2, ∞.
pub struct Three;

tile!(
    Three,
    3,
    5,
    [
        [2.0, -1.0, -2.0, 1.0, 0.0],
        [0.0, -2.0, -1.0, 1.0, 0.0],
        [0.0, 2.0, -3.0, 1.0, 0.0],
        [0.0, -1.0, 0.0, 1.0, 0.0],
        [0.0, 2.0, -1.0, -2.0, 1.0],
    ],
    [[1.0, 1.0, 1.0, 1.0, 0.0], [0.0, 1.0, -1.0, 2.0, 0.0], [0.0, 1.0, 1.0, 4.0, 1.0]],
    [
        [0.5, 0.0, 0.0],
        [-0.5, -0.5, -0.5],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 6.0, 1.0 / 3.0, 2.0 / 3.0],
        [0.0, 0.0, 1.0],
    ]
);

/// Points 0, 1, −1, 2, −1/2, ∞.
pub struct Four;

tile!(
    Four,
    4,
    6,
    [
        [1.0, 1.5, -2.0, -1.5, 1.0, 0.0],
        [0.0, -1.0, -2.5, -0.5, 1.0, 0.0],
        [0.0, 1.0, 0.5, -2.5, 1.0, 0.0],
        [0.0, -0.5, -1.0, 0.5, 1.0, 0.0],
        [0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
        [0.0, 1.0, 1.5, -2.0, -1.5, 1.0],
    ],
    [
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
        [0.0, 1.0, -1.0, 2.0, -0.5, 0.0],
        [0.0, 1.0, 1.0, 4.0, 0.25, 0.0],
        [0.0, 1.0, -1.0, 8.0, -0.125, 1.0],
    ],
    [
        [1.0, 0.0, 0.0],
        [-1.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0],
        [1.0 / 3.0, -1.0 / 3.0, 1.0 / 3.0],
        [1.0 / 15.0, 2.0 / 15.0, 4.0 / 15.0],
        [-16.0 / 15.0, 8.0 / 15.0, -4.0 / 15.0],
        [0.0, 0.0, 1.0],
    ]
);

const fn transposed<const ROWS: usize, const COLUMNS: usize>(matrix: [[f32; COLUMNS]; ROWS]) -> [[f32; ROWS]; COLUMNS] {
    let mut result = [[0.0; ROWS]; COLUMNS];
    let mut row = 0;
    while row < ROWS {
        let mut column = 0;
        while column < COLUMNS {
            result[column][row] = matrix[row][column];
            column += 1;
        }
        row += 1;
    }
    result
}

/// X · from · Xᵀ for every channel.
#[inline(always)]
pub fn transform<X: Matrix<I, O>, const I: usize, const O: usize>(from: &Patch<I>, to: &mut Patch<O>) {
    let mut half = [[[0.0f32; LANES]; I]; O];
    for column in 0..I {
        for channel in 0..LANES {
            let mut values = [0.0; I];
            unrolled!(row < I, values[row] = from[row][column][channel]);
            let results = combine::<X, I, O>(values);
            unrolled!(row < O, half[row][column][channel] = results[row]);
        }
    }
    for (half, to) in half.iter().zip(to) {
        for channel in 0..LANES {
            let mut values = [0.0; I];
            unrolled!(column < I, values[column] = half[column][channel]);
            let results = combine::<X, I, O>(values);
            unrolled!(column < O, to[column][channel] = results[column]);
        }
    }
}

/// X · values; zeros of the matrix cost nothing.
#[inline(always)]
fn combine<X: Matrix<I, O>, const I: usize, const O: usize>(values: [f32; I]) -> [f32; O] {
    // Minus zero is what addition leaves alone.
    let mut results = [-0.0; O];
    unrolled!(
        row < O,
        unrolled!(
            column < I,
            if X::ROWS[row][column] != 0.0 {
                results[row] += X::ROWS[row][column] * values[column];
            }
        )
    );
    results
}

/// Channels first..first + width of S × S places from `corner` on; zeros outside the image.
#[inline(always)]
pub fn read_patch<const S: usize, const FULL: bool>(
    maps: &Maps,
    image: &[f32],
    [top, left]: [isize; 2],
    first: usize,
    width: usize,
    patch: &mut Patch<S>,
) {
    for (y, line) in patch.iter_mut().enumerate() {
        for (x, place) in line.iter_mut().enumerate() {
            *place = match maps.place(top + y as isize, left + x as isize) {
                Some(at) => load::<FULL>(&image[at + first..], width),
                None => [0.0; LANES],
            };
        }
    }
}

/// The reverse, for the places inside the image, which begins at `start` of the result.
#[inline(always)]
pub fn write_patch<const S: usize, const FULL: bool>(
    maps: &Maps,
    [start, top, left]: [isize; 3],
    image: &mut [f32],
    first: usize,
    width: usize,
    patch: &Patch<S>,
    finish: &Finish,
) {
    for (y, line) in patch.iter().enumerate() {
        for (x, place) in line.iter().enumerate() {
            let Some(at) = maps.place(top + y as isize, left + x as isize) else { continue };
            let (mut result, target) = (*place, &mut image[at + first..]);
            match finish {
                Finish::Set => {}
                Finish::Add => {
                    let before = load::<FULL>(target, width);
                    result = lanes(|lane| result[lane] + before[lane]);
                }
                Finish::Inference { bias, shortcut, floor } => {
                    if let Some(shortcut) = shortcut {
                        let shortcut = load::<FULL>(&shortcut[start as usize + at + first..], width);
                        result = lanes(|lane| result[lane] + shortcut[lane]);
                    }
                    let bias = load::<FULL>(&bias[first..], width);
                    result = lanes(|lane| (result[lane] + bias[lane]).max(*floor));
                }
            }
            store::<FULL>(&result, target, width);
        }
    }
}
