//! `top2_gap`: how far the first class is ahead of the second.

use super::{Function, Make, scalar};

pub(super) const FUNCTION: Function = Function {
    name: "top2_gap",
    call: "top2_gap(items)",
    doc: "Difference of the two largest items: the margin of margin sampling (Scheffer, Decomain and Wrobel 2001), \
          small where two classes compete. Null for fewer than two items, or where one is null or NaN.",
    example: "select round(top2_gap([0.2, 0.5, 0.3]), 4)",
    answer: "0.2",
    make: Make::Scalar(|function| scalar::of_vector(function, top2_gap)),
};

fn top2_gap(items: &[f64]) -> Option<f64> {
    let mut top = [f64::NEG_INFINITY; 2];
    for &item in items {
        if item > top[0] {
            top = [item, top[0]];
        } else if item > top[1] {
            top[1] = item;
        }
    }
    (items.len() >= 2).then_some(top[0] - top[1])
}
