//! Cross-entropy H(q, p) = −Σ q log p per row, for hard and soft targets.

use candle_core::{D, DType, Result, Tensor, bail};
use candle_nn::ops::log_softmax;

use super::storage::tensor;

/// Targets that put everything on one class: rows of `classes` numbers.
pub fn one_hot(labels: &[u32], classes: usize) -> Result<Tensor> {
    let mut rows = vec![0.0; labels.len() * classes];
    for (row, &label) in rows.chunks_exact_mut(classes).zip(labels) {
        match row.get_mut(label as usize) {
            Some(value) => *value = 1.0,
            None => bail!("label {label} with {classes} classes"),
        }
    }
    tensor(rows, (labels.len(), classes))
}

/// H(target, softmax(logits)) of every row: (N, C), (N, C) → (N). Targets take no gradient.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    log_softmax(logits, D::Minus1)?.mul(&targets.detach())?.sum(D::Minus1)?.neg()
}

/// Σ weightᵢ · rowᵢ / divisor; 0 without gradient where every weight is 0.
pub fn weighted_mean(rows: &Tensor, weights: &[f32], divisor: f64) -> Result<Tensor> {
    if weights.iter().all(|&weight| weight == 0.0) || divisor <= 0.0 {
        return Tensor::zeros((), DType::F32, rows.device());
    }
    rows.mul(&tensor(weights.to_vec(), weights.len())?)?.sum_all()? / divisor
}
