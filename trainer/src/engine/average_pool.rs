//! Global average pooling: from maps to one row of features per image.

use candle_core::{Result, Tensor};

/// x (N, H, W, C) → (N, C).
pub fn global_average_pool(x: &Tensor) -> Result<Tensor> {
    x.flatten(1, 2)?.mean(1)
}
