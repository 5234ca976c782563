//! InfoNCE over the views of unsure faces (`SupConLoss` without labels, as released with Ada-CM).

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops::log_softmax;

use super::storage::tensor;

/// Takes an anchor's similarity to itself out of its softmax; finite, so that 0 · it stays 0.
const EXCLUDED: f32 = -1e9;

/// `views`: k tensors (n, D) of unit rows, row i of each showing the same face. Every view of every face is an anchor
/// (k·n); its positives are the other k − 1 views of its face; itself is excluded; mean over positives, then anchors.
/// 0 without gradient where n ≤ 1 or k ≤ 1, since an anchor then has nothing to be told apart from.
pub fn info_nce(views: &[Tensor], temperature: f64) -> Result<Tensor> {
    let count = views.first().map_or(Ok(0), |view| view.dim(0))?;
    if count <= 1 || views.len() <= 1 {
        return Tensor::zeros((), DType::F32, &candle_core::Device::Cpu);
    }
    let anchors = count * views.len();
    let features = Tensor::cat(views, 0)?;
    let similarity = (features.matmul(&features.t()?)? / temperature)?;
    let (mut excluded, mut positive) = (vec![0.0; anchors * anchors], vec![0.0; anchors * anchors]);
    let share = -1.0 / ((views.len() - 1) as f32 * anchors as f32);
    for anchor in 0..anchors {
        excluded[anchor * anchors + anchor] = EXCLUDED;
        for other in (anchor % count..anchors).step_by(count).filter(|&other| other != anchor) {
            positive[anchor * anchors + other] = share;
        }
    }
    let logits = similarity.add(&tensor(excluded, (anchors, anchors))?)?;
    log_softmax(&logits, D::Minus1)?.mul(&tensor(positive, (anchors, anchors))?)?.sum_all()
}
