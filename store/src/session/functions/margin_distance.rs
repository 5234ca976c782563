//! `margin_distance`: how near a face is to being decided the other way.

use super::{Function, Make, scalar};

pub(super) const FUNCTION: Function = Function {
    name: "margin_distance",
    call: "margin_distance(confidence, margin)",
    doc: "How far a confidence is from the margin of its class, on either side: 0 at the margin, where a label tells \
          most about it. Which side it is on, `subset` says. Null where an argument is null or NaN.",
    example: "select round(margin_distance(0.75, 0.8), 4), round(margin_distance(0.9, 0.8), 4)",
    answer: "0.05 0.1",
    make: Make::Scalar(|function| {
        scalar::of_numbers(function, 2, |arguments| match arguments {
            [confidence, margin] => Some((confidence - margin).abs()),
            _ => None,
        })
    }),
};
