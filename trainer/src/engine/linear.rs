//! The fully connected layer.

use candle_core::{Result, Tensor};

/// x (N, D) · weight (C, D)ᵀ + bias (C) → (N, C).
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)?.broadcast_add(bias)
}
