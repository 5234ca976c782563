//! Max-pool 3×3, stride 2, padding 1, and global average pooling.
//!
//! candle's max-pool knows no padding and refuses a gradient where windows overlap, so it is a maximum over nine
//! shifted maps here. As in the engine, of equal values the first of the window, row by row, takes the whole gradient.

use candle_core::{DType, Result, Tensor};

use super::tape::{Node, Tape};
use crate::engine::max_pool::output_side;

/// What lies outside never wins.
const OUTSIDE: f32 = f32::MIN;

/// Max-pool of x (N, C, H, W) → (N, C, ⌈H/2⌉, ⌈W/2⌉).
pub fn max_pool(tape: &mut Tape, x: &Node) -> Result<Node> {
    let y = largest(x.value())?;
    let (x, result) = (x.clone(), y.clone());
    Ok(tape.result(y, move |dy, gradients| gradients.add(x.place(), max_gradient(x.value(), &result, &dy)?)))
}

/// The same without a gradient.
pub fn largest(x: &Tensor) -> Result<Tensor> {
    let phases = phases(x)?;
    let first = tap(&phases, 0)?;
    (1..9).try_fold(first, |largest, number| largest.maximum(&tap(&phases, number)?))
}

/// The mean of every map: (N, C, H, W) → (N, C).
pub fn global_average_pool(tape: &mut Tape, x: &Node) -> Result<Node> {
    let y = mean(x.value())?;
    let x = x.clone();
    Ok(tape.result(y, move |dy, gradients| {
        let (images, channels, height, width) = x.value().dims4()?;
        let share = (dy / (height * width) as f64)?.reshape((images, channels, 1, 1))?;
        gradients.add(x.place(), share.broadcast_as(x.value().shape())?.contiguous()?)
    }))
}

/// The same without a gradient.
pub fn mean(x: &Tensor) -> Result<Tensor> {
    x.mean((2, 3))
}

/// x with a border outside, its rows and columns taken apart by even and odd: (N, C, H' + 1, 2, W' + 1, 2).
fn phases(x: &Tensor) -> Result<Tensor> {
    let (images, channels, height, width) = x.dims4()?;
    let (rows, columns) = (output_side(height) + 1, output_side(width) + 1);
    let border = |shape: (usize, usize, usize, usize)| Tensor::full(OUTSIDE, shape, x.device());
    let (above, below) = (border((images, channels, 1, width))?, 2 * rows - height - 1);
    let tall = Tensor::cat(&[&above, x, &border((images, channels, below, width))?], 2)?;
    let (left, right) = (border((images, channels, 2 * rows, 1))?, 2 * columns - width - 1);
    let whole = Tensor::cat(&[&left, &tall, &border((images, channels, 2 * rows, right))?], 3)?;
    whole.reshape((images, channels, rows, 2, columns, 2))
}

/// The value at place `number` (row by row) of every window.
fn tap(phases: &Tensor, number: usize) -> Result<Tensor> {
    let (rows, columns) = (phases.dim(2)? - 1, phases.dim(4)? - 1);
    let (row, column) = (number / 3, number % 3);
    let of_rows = phases.narrow(2, row / 2, rows)?.narrow(3, row % 2, 1)?.squeeze(3)?;
    of_rows.narrow(3, column / 2, columns)?.narrow(4, column % 2, 1)?.squeeze(4)?.contiguous()
}

/// Every window's gradient put where its maximum was.
fn max_gradient(x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Tensor> {
    let phases = phases(x)?;
    let mut undecided = y.ones_like()?;
    // By phase of rows and columns: (N, C, H' + 1, W' + 1).
    let mut sums: [Option<Tensor>; 4] = [const { None }; 4];
    for number in 0..9 {
        let won = (tap(&phases, number)?.eq(y)?.to_dtype(DType::F32)? * &undecided)?;
        undecided = (undecided - &won)?;
        let (row, column) = (number / 3, number % 3);
        let share = (won * dy)?;
        let share = share.pad_with_zeros(2, row / 2, 1 - row / 2)?.pad_with_zeros(3, column / 2, 1 - column / 2)?;
        let sum = &mut sums[row % 2 * 2 + column % 2];
        *sum = Some(match sum.take() {
            Some(sum) => (sum + share)?,
            None => share,
        });
    }
    let sums: Vec<Tensor> = sums.into_iter().flatten().collect();
    let rows = [Tensor::stack(&sums[..2], 4)?, Tensor::stack(&sums[2..], 4)?];
    let (images, channels, height, width) = x.dims4()?;
    let (all_rows, all_columns) = (2 * rows[0].dim(2)?, 2 * rows[0].dim(3)?);
    let whole = Tensor::stack(&rows, 3)?.reshape((images, channels, all_rows, all_columns))?;
    whole.narrow(2, 1, height)?.narrow(3, 1, width)?.contiguous()
}
