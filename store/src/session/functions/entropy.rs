//! `entropy`: how undecided a distribution is.

use super::{Function, Make, scalar};

pub(super) const FUNCTION: Function = Function {
    name: "entropy",
    call: "entropy(items)",
    doc: "Entropy of a distribution, in nats: 0 where all lies on one class, ln C where C classes share evenly. The \
          items are divided by their sum, so that votes serve as well as probabilities. Null where the list is empty, \
          adds up to nothing or to more than a number can hold, or has a negative item, a null or a \
          NaN.",
    example: "select round(entropy([0.5, 0.25, 0.25]), 4), round(entropy([3, 1, 0]), 4)",
    answer: "1.0397 0.5623",
    make: Make::Scalar(|function| scalar::of_vector(function, entropy)),
};

fn entropy(items: &[f64]) -> Option<f64> {
    let total: f64 = items.iter().sum();
    let is_distribution = total > 0.0 && total.is_finite() && items.iter().all(|item| *item >= 0.0);
    let shares = items.iter().map(|item| item / total).filter(|share| *share > 0.0);
    // Folded from a zero: a sum of nothing but -0.0 would be shown as such.
    is_distribution.then(|| shares.fold(0.0, |entropy, share| entropy - share * share.ln()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn between_certain_and_even_whatever_the_scale(
            items in prop::collection::vec(0.0..1e6_f64, 1..10),
            scale in 1e-3..1e3_f64,
        ) {
            prop_assume!(items.iter().sum::<f64>() > 1e-3);
            let found = entropy(&items).expect("a distribution");
            prop_assert!((0.0..=(items.len() as f64).ln() + 1e-9).contains(&found), "{found}");
            let scaled: Vec<f64> = items.iter().map(|item| item * scale).collect();
            prop_assert!((entropy(&scaled).expect("a distribution") - found).abs() < 1e-9);
        }
    }
}
