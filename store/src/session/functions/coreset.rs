//! `coreset`: a batch for people to label that leaves no face far from a labelled one.
//!
//! The rule of `diverse` over another pool: what is labelled counts, and how near its margin a face is does not.

use std::sync::Arc;

use super::choice::ChoiceFunction;
use super::diverse::farthest_first;
use super::{Function, Make};

/// Faces of the pool where the call names no number.
const POOL: u64 = 10_000;

pub(super) const FUNCTION: Function = Function {
    name: "coreset",
    call: "coreset(k [, pool])",
    doc: "k faces for people to label, each the farthest from all that are labelled or were chosen before it: `rank` \
          from 1, `face_id`, `distance` to the nearest of those, null for the first where none is labelled. CoreSet \
          (Sener and Savarese 2018): greedy k-centre on cosine distances, which brings outliers first; `diverse` \
          stays near the margins. The pool are `pool` undecided faces of subset II with a feature of the round, \
          drawn at random, the same in every call, and as many labelled ones at most (10,000 unless said; at most \
          20,000, about 2 kB of memory for each). In queue.sql the faces are those of the round under way.",
    example: "select rank, face_id, round(distance, 3) from coreset(2) order by rank",
    answer: "1 a NULL\n2 c 1.0",
    make: Make::Query {
        sql: include_str!("beside_labelled.sql"),
        make: |template, _| {
            Arc::new(ChoiceFunction { function: &FUNCTION, template, pool: |_| POOL, rule: farthest_first })
        },
    },
};
