//! L2 normalisation of rows.

use candle_core::{D, Result, Tensor};

/// Inside the root, so that a row of zeros has a finite gradient.
const EPSILON: f64 = 1e-12;

/// Every row of x (N, D) divided by its length.
pub fn normalise(x: &Tensor) -> Result<Tensor> {
    let length = (x.sqr()?.sum_keepdim(D::Minus1)? + EPSILON)?.sqrt()?;
    x.broadcast_div(&length)
}
