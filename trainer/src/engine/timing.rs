//! Where a step's time goes: seconds per operator since the last reading. A clock reading per call costs nothing beside it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What is timed apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Convolution,
    ConvolutionGradient,
    BatchNorm,
    BatchNormGradient,
    MaxPool,
    Optimiser,
}

const OPERATORS: [Operator; 6] = [
    Operator::Convolution,
    Operator::ConvolutionGradient,
    Operator::BatchNorm,
    Operator::BatchNormGradient,
    Operator::MaxPool,
    Operator::Optimiser,
];

/// Nanoseconds by operator.
static SPENT: [AtomicU64; OPERATORS.len()] = [const { AtomicU64::new(0) }; OPERATORS.len()];

/// Runs `work` and counts its time towards `operator`.
pub(crate) fn timed<R>(operator: Operator, work: impl FnOnce() -> R) -> R {
    let started = Instant::now();
    let result = work();
    SPENT[operator as usize].fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
    result
}

/// Seconds spent in every operator by the whole process since the last call.
pub fn take() -> Vec<(Operator, f64)> {
    let seconds = |operator: Operator| SPENT[operator as usize].swap(0, Ordering::Relaxed) as f64 * 1e-9;
    OPERATORS.into_iter().map(|operator| (operator, seconds(operator))).collect()
}
