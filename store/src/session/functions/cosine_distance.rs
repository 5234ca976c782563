//! `cosine_distance`: the engine's own, which takes every kind of list and of number, float16 too.

use datafusion::functions_nested::cosine_distance::cosine_distance_udf;

use super::{Function, Make};

pub(super) const FUNCTION: Function = Function {
    name: "cosine_distance",
    call: "cosine_distance(a, b)",
    doc: "1 minus the cosine of the angle between two vectors of equal length: 0 for the same direction, 1 at a right \
          angle, 2 for opposite ones. Null where one is null, empty, all zeros, or holds a null. To look through all \
          faces take `nearest`, which reads the features once and uses an index where there is one.",
    example: "select round(cosine_distance([1.0, 0.0], [0.0, 2.0]), 4), round(cosine_distance([1, 1], [2, 2]), 4)",
    answer: "1.0 0.0",
    make: Make::Scalar(|_| cosine_distance_udf().as_ref().clone()),
};
