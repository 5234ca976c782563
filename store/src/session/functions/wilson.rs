//! `wilson_low` and `wilson_high`: what a share found in a sample says about all.

use super::{Function, Make, scalar};

/// Square of the normal deviate that 95 % lie within.
const Z2: f64 = 3.841_458_820_694_124;

pub(super) const LOW: Function = Function {
    name: "wilson_low",
    call: "wilson_low(successes, n)",
    doc: "Lower end of the 95 % Wilson score interval (Wilson 1927) of a share of which `successes` among `n` were \
          seen; it holds for small samples, and for 0 or all successes too; without any it is 0 to 1. Null where n is \
          negative or successes are not between 0 and n.",
    example: "select round(wilson_low(9, 10), 4), round(wilson_low(0, 10), 4)",
    answer: "0.5958 0.0",
    make: Make::Scalar(|function| scalar::of_numbers(function, 2, |arguments| Some(interval(arguments)?.0))),
};

pub(super) const HIGH: Function = Function {
    name: "wilson_high",
    call: "wilson_high(successes, n)",
    doc: "Upper end of the same interval.",
    example: "select round(wilson_high(9, 10), 4), round(wilson_high(0, 10), 4)",
    answer: "0.9821 0.2775",
    make: Make::Scalar(|function| scalar::of_numbers(function, 2, |arguments| Some(interval(arguments)?.1))),
};

fn interval(arguments: &[f64]) -> Option<(f64, f64)> {
    let &[successes, n] = arguments else { return None };
    if !(0.0..=n).contains(&successes) {
        return None;
    }
    if n == 0.0 {
        return Some((0.0, 1.0));
    }
    let (share, z2) = (successes / n, Z2 / n);
    let middle = share + z2 / 2.0;
    let half = (z2 * (share * (1.0 - share) + z2 / 4.0)).sqrt();
    // Rounding may carry an end just past 0 or 1, where it belongs exactly.
    Some((((middle - half) / (1.0 + z2)).max(0.0), ((middle + half) / (1.0 + z2)).min(1.0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_share_lies_within_and_more_faces_say_more(n in 1_u32..100_000, part in 0.0..=1.0_f64) {
            let successes = (part * f64::from(n)).floor();
            let (low, high) = interval(&[successes, f64::from(n)]).expect("an interval");
            let share = successes / f64::from(n);
            prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0, "{low} {share} {high}");
            let (lower, higher) = interval(&[10.0 * successes, 10.0 * f64::from(n)]).expect("an interval");
            prop_assert!(higher - lower < high - low);
            // The same from the other side.
            let (other_low, other_high) = interval(&[f64::from(n) - successes, f64::from(n)]).expect("an interval");
            prop_assert!((low + other_high - 1.0).abs() < 1e-9 && (high + other_low - 1.0).abs() < 1e-9);
        }
    }
}
