//! `maxherding`: a batch for people to label that has something like every face in it, for a corpus with few labels.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::choice::{ChoiceFunction, Chosen, Nearest, Pool, largest};
use super::{Function, Make};

/// Length scale of the kernel, the paper's for features of length 1; it finds that the rule hardly depends on it.
const LENGTH_SCALE: f32 = 1.0;
/// Faces of the pool where the call names no number; the work grows with its square.
const POOL: u64 = 4_000;

pub(super) const FUNCTION: Function = Function {
    name: "maxherding",
    call: "maxherding(k [, pool])",
    doc: "k faces for people to label that cover the pool: `rank` from 1, `face_id`, `distance`, the cosine distance \
          to the nearest face that is labelled or was chosen before, null for the first where none is labelled. \
          MaxHerding (Bae, Noh and Sutherland 2024): the next face is the one that most raises the mean, over all \
          faces, of the Gaussian kernel exp(−‖x − y‖²) to the nearest labelled or chosen one, so that a face with \
          many like it comes before an outlier. The pool are `pool` undecided faces of subset II with a feature of \
          the round, drawn at random, the same in every call, and as many labelled ones at most (4,000 unless said; \
          at most 20,000, about 2 kB of memory for each; the time grows with its square). In queue.sql the faces are \
          those of the round under way.",
    example: "select rank, face_id, round(distance, 3) from maxherding(2) order by rank",
    answer: "1 a NULL\n2 c 1.0",
    make: Make::Query {
        sql: include_str!("beside_labelled.sql"),
        make: |template, _| {
            Arc::new(ChoiceFunction { function: &FUNCTION, template, pool: |_| POOL, rule: most_covering })
        },
    },
};

/// Lazily greedy (Minoux 1978): what a face adds only shrinks as others are chosen, so what it added when it was last
/// looked at bounds what it adds now, and a face that is on top after another look is the best.
fn most_covering(pool: &Pool, k: usize) -> BoxFuture<'_, Chosen> {
    async move {
        let mut nearest = Nearest::new(pool, |a, b| pool.distance(a, b)).await;
        let mut gains = pool.unscored();
        let mut chosen = Vec::with_capacity(k.min(pool.len()));
        while chosen.len() < k
            && let Some(face) = largest(&gains)
        {
            gains[face] = gain(pool, face, nearest.distances());
            if largest(&gains) == Some(face) {
                chosen.push(nearest.choose(face).await);
                gains[face] = f32::NEG_INFINITY;
            }
            tokio::task::yield_now().await;
        }
        chosen
    }
    .boxed()
}

/// What a face would add to the coverage: the kernel to it, where it is nearer than the nearest so far, less that to
/// the nearest.
fn gain(pool: &Pool, face: usize, nearest: &[f32]) -> f32 {
    let left = nearest.iter().enumerate().filter(|(_, nearest)| **nearest > f32::NEG_INFINITY);
    let gains = left.map(|(other, nearest)| {
        let distance = pool.distance(face, other);
        if distance < *nearest { kernel(distance) - kernel(*nearest) } else { 0.0 }
    });
    gains.sum()
}

/// Gaussian kernel of two features of length 1: the square of the distance between them is twice the cosine distance.
fn kernel(distance: f32) -> f32 {
    (-2.0 * distance / (LENGTH_SCALE * LENGTH_SCALE)).exp()
}
