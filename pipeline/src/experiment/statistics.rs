//! What a handful of runs can say: means with intervals, and paired tests.
//!
//! In: one number a run. Out: mean, sample standard deviation and Student's 95 % interval; for pairs the exact Wilcoxon
//! signed-rank test, and Holm's adjustment where several are made at once. With three seeds no such test can reach 5 %: the
//! smallest p of three pairs is 0.25. The table says so by its numbers.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Mean of some runs, and how far to trust it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Runs.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Sample standard deviation; none of one run.
    pub deviation: Option<f64>,
    /// Half the width of Student's 95 % interval of the mean; none of one run.
    pub half_width: Option<f64>,
}

impl Estimate {
    /// The estimate from one value a run; none without runs.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let deviation = (count > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (count - 1) as f64).sqrt()
        });
        let half_width = deviation.and_then(|deviation| {
            let quantile = StudentsT::new(0.0, 1.0, (count - 1) as f64).ok()?.inverse_cdf(0.975);
            Some(quantile * deviation / (count as f64).sqrt())
        });
        Some(Self { count, mean, deviation, half_width })
    }
}

/// The two-sided p of the exact Wilcoxon signed-rank test (Wilcoxon 1945) that differences are as often above 0 as below. Equal
/// sizes share their mean rank; differences of 0 are left out. None where all are.
pub fn wilcoxon(differences: &[f64]) -> Option<f64> {
    let mut sizes: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    sizes.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    if sizes.is_empty() {
        return None;
    }
    // Ranks doubled, so that shared ones are whole numbers.
    let ranks = doubled_ranks(&sizes);
    let total: usize = ranks.iter().sum();
    let positive: usize = sizes.iter().zip(&ranks).filter(|(size, _)| **size > 0.0).map(|(_, rank)| rank).sum();
    // How likely each rank sum is when every sign is a coin's.
    let mut chances = vec![0.0; total + 1];
    chances[0] = 1.0;
    for rank in ranks {
        for sum in (0..=total).rev() {
            let with = if sum >= rank { chances[sum - rank] } else { 0.0 };
            chances[sum] = (chances[sum] + with) / 2.0;
        }
    }
    let smaller = positive.min(total - positive);
    Some((2.0 * chances[..=smaller].iter().sum::<f64>()).min(1.0))
}

fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    while ranks.len() < sorted.len() {
        let first = ranks.len();
        let equal = sorted[first..].iter().take_while(|size| size.abs() == sorted[first].abs()).count();
        ranks.extend(std::iter::repeat_n(2 * first + equal + 1, equal));
    }
    ranks
}

/// Holm's (1979) adjustment of the p of several tests, in their order.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (done, test) in order.into_iter().enumerate() {
        largest = largest.max((p[test] * (p.len() - done) as f64).min(1.0));
        adjusted[test] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }

    #[test]
    fn an_interval_is_students() {
        // t(0.975, 2) = 4.30265.
        let estimate = Estimate::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((estimate.mean, estimate.deviation), (2.0, Some(1.0)));
        close(estimate.half_width.unwrap(), 4.30265 / 3f64.sqrt());
        assert_eq!(Estimate::of(&[1.0]).unwrap().half_width, None);
        assert_eq!(Estimate::of(&[]), None);
    }

    #[test]
    fn wilcoxon_counts_sign_patterns() {
        // All of three above 0: 2 of 8 patterns are as extreme.
        close(wilcoxon(&[0.1, 0.2, 0.3]).unwrap(), 0.25);
        close(wilcoxon(&[0.1, -0.2, 0.3]).unwrap(), 0.75);
        // Ranks 1.5, 1.5 and 3: the rank sums below 0 are 0, 1.5, 1.5, 3, 3, 4.5, 4.5, 6.
        close(wilcoxon(&[-0.1, 0.1, 0.3]).unwrap(), 0.75);
        close(wilcoxon(&[0.0, 1.0]).unwrap(), 1.0);
        assert_eq!(wilcoxon(&[0.0]), None);
        close(wilcoxon(&[1.0; 10]).unwrap(), 2.0 / 1024.0);
    }

    #[test]
    fn holm_multiplies_by_what_is_left() {
        let adjusted = holm(&[0.04, 0.01, 0.03]);
        close(adjusted[1], 0.03);
        close(adjusted[2], 0.06);
        close(adjusted[0], 0.06);
    }
}
