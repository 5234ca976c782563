//! What faces below the margin may teach besides agreeing with themselves, each an option of Ada-CM.
//!
//! - Set-valued pseudo-labels (as in LEAF, Zhang et al., 2024): the likeliest classes that together hold a mass, at
//!   most so many, are a label together: −ln Σ_{c in set} p_s(c).
//! - Negative learning (Kim et al., ICCV 2019): the face is none of the classes that are improbable:
//!   −mean over them of ln(1 − p_s(c)).
//!
//! Both are summed over subset II and divided by the batch (and the number of strong views); sets take no gradient.

use candle_core::{D, DType, Device, Tensor};
use candle_nn::ops::log_softmax;

use crate::Result;
use crate::engine::cross_entropy::weighted_mean;
use crate::methods::Split;
use crate::mixing::target_rows;
use crate::network::Outputs;

/// Added to the probability of a set, so that its logarithm stays finite.
const TINY: f64 = 1e-12;
/// Added to 1 − p, so that its logarithm stays finite where p is 1.
const EPSILON: f64 = 1e-6;

/// −ln of the probability that the strong views give to the set, from mean probabilities (U, C).
pub fn set_valued_loss(
    strong: &[Outputs],
    probabilities: &[Vec<f64>],
    split: &Split,
    mass: f64,
    size: usize,
) -> Result<Tensor> {
    let sets: Vec<Vec<f64>> = probabilities.iter().map(|row| likeliest(row, mass, size)).collect();
    let sets = target_rows(&sets)?;
    of_subset_two(strong, split, |log| Ok((log.exp()?.mul(&sets)?.sum(D::Minus1)? + TINY)?.log()?.neg()?))
}

/// −mean ln(1 − p) over the classes less probable than `below`, from mean probabilities (U, C); 0 where there are none.
pub fn negative_loss(strong: &[Outputs], probabilities: &[Vec<f64>], split: &Split, below: f64) -> Result<Tensor> {
    let improbable = |row: &Vec<f64>| {
        let count = row.iter().filter(|&&probability| probability < below).count().max(1) as f64;
        row.iter().map(|&probability| if probability < below { 1.0 / count } else { 0.0 }).collect()
    };
    let shares = target_rows(&probabilities.iter().map(improbable).collect::<Vec<Vec<f64>>>())?;
    let of_row = |log: &Tensor| {
        let others = ((1.0 + EPSILON) - log.exp()?)?;
        Ok(others.log()?.mul(&shares)?.sum(D::Minus1)?.neg()?)
    };
    of_subset_two(strong, split, of_row)
}

/// 1 for the likeliest classes until their probabilities reach `mass`, at most `size` of them; 0 for the others. Of
/// equal ones the lowest class comes first.
fn likeliest(probabilities: &[f64], mass: f64, size: usize) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let (mut held, mut set) = (0.0, vec![0.0; probabilities.len()]);
    for class in order.into_iter().take(size) {
        set[class] = 1.0;
        held += probabilities[class];
        if held >= mass {
            break;
        }
    }
    set
}

/// A loss per row of log-probabilities (U, C), over subset II and all strong views.
fn of_subset_two(strong: &[Outputs], split: &Split, row: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let mask: Vec<f32> = split.mask().iter().map(|accepted| 1.0 - accepted).collect();
    let divisor = (mask.len() * strong.len()).max(1) as f64;
    let mut total = Tensor::zeros((), DType::F32, &Device::Cpu)?;
    for view in strong {
        let rows = row(&log_softmax(&view.logits, D::Minus1)?)?;
        total = (total + weighted_mean(&rows, &mask, divisor)?)?;
    }
    Ok(total)
}
