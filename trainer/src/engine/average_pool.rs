//! Global average pooling: from channel-major maps to one row of features per image.

use candle_core::{Result, Tensor};

/// x (C, N, H, W) → (N, C).
pub fn global_average_pool(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(2)?.mean(2)?.t()?.contiguous()
}
