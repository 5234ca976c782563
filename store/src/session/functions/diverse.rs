//! `diverse`: a batch for people to label that does not show the same face ten times.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::choice::{ChoiceFunction, Chosen, Pool, largest, one_by_one};
use super::{Function, Make};

pub(super) const FUNCTION: Function = Function {
    name: "diverse",
    call: "diverse(k [, pool])",
    doc: "k faces for people to label that differ from each other: `rank` from 1, `face_id`, `distance` to the nearest \
          face chosen before, null for the first. The pool are the `pool` undecided faces of subset II nearest below \
          their margin, the classes taking turns, with a feature of the round (10 k unless said; at most 20,000, about \
          2 kB of memory each). From it the farthest from all chosen so far is taken again and again: greedy k-centre \
          (Gonzalez 1985; for active learning Sener and Savarese 2018) on cosine distances, begun at the first of the \
          pool. Over all faces that would pick outliers, which the bound on the pool is there against. In queue.sql \
          the faces are those of the round under way.",
    example: "select rank, face_id, round(distance, 3) from diverse(2) order by rank",
    answer: "1 a NULL\n2 c 1.0",
    make: Make::Query {
        sql: include_str!("diverse.sql"),
        make: |template, _| {
            Arc::new(ChoiceFunction { function: &FUNCTION, template, pool: |k| 10 * k, rule: farthest_first })
        },
    },
};

pub(super) fn farthest_first(pool: &Pool, k: usize) -> BoxFuture<'_, Chosen> {
    one_by_one(pool, k, None, |a, b| pool.distance(a, b), largest).boxed()
}
