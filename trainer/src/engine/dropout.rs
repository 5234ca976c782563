//! Dropout from a seeded mask.

use candle_core::{Result, Tensor};

use super::storage::tensor;
use crate::streams::Stream;

/// Zeroes every value with probability `rate` (0 or more, below 1) and scales the rest by 1 / (1 − rate).
pub fn dropout(x: &Tensor, rate: f64, stream: &mut Stream) -> Result<Tensor> {
    if rate <= 0.0 {
        return Ok(x.clone());
    }
    let kept = (1.0 / (1.0 - rate)) as f32;
    let mask = (0..x.elem_count()).map(|_| if stream.unit() < rate { 0.0 } else { kept }).collect();
    x.mul(&tensor(mask, x.shape())?.to_device(x.device())?)
}
