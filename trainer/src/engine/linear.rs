//! The fully connected layer.

use candle_core::{Result, Tensor, bail};

use super::storage::{tensor, with_numbers};

/// x (N, D) · weight (C, D)ᵀ + bias (C) → (N, C).
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)?.broadcast_add(bias)
}

/// The same without gradients, each row by itself: the last bits of a matrix product depend on how many rows it has,
/// and what is said of an image must not depend on those beside it.
pub fn each_row(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let ((rows, length), (outputs, inputs)) = (x.dims2()?, weight.dims2()?);
    if length == 0 || length != inputs || bias.elem_count() != outputs {
        bail!("rows of {length} for a weight {:?} and a bias {:?}", weight.shape(), bias.shape());
    }
    let dot = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>();
    with_numbers(x, |x| {
        with_numbers(weight, |weight| {
            with_numbers(bias, |bias| {
                let of_row = |x| weight.chunks_exact(length).zip(bias).map(move |(w, bias)| dot(x, w) as f32 + bias);
                tensor(x.chunks_exact(length).flat_map(of_row).collect(), (rows, outputs))
            })
        })
    })
}
