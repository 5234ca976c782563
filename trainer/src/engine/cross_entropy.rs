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

/// Targets from people's votes, one row of counts per face: (v_c + a) / (n + a C), n = votes of the row and
/// a = `smoothing`. With a = 0 they are the shares; a row without a vote then is an error.
pub fn vote_shares(votes: &[Vec<f64>], smoothing: f64) -> Result<Tensor> {
    let classes = votes.first().map_or(0, Vec::len);
    let mut shares = Vec::with_capacity(votes.len() * classes);
    for row in votes {
        let total = row.iter().sum::<f64>() + smoothing * classes as f64;
        if total <= 0.0 {
            bail!("a face without a vote: leave it out, or smooth");
        }
        shares.extend(row.iter().map(|votes| ((votes + smoothing) / total) as f32));
    }
    tensor(shares, (votes.len(), classes))
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
