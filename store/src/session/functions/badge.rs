//! `badge`: a batch for people to label that is uncertain and diverse at once.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::choice::{ChoiceFunction, Chosen, Pool, dot, one_by_one};
use super::{Function, Make};

/// The draw is the same whenever the pool is.
const SEED: u64 = 1;
/// Faces of the pool where the call names no number.
const POOL: u64 = 10_000;

pub(super) const FUNCTION: Function = Function {
    name: "badge",
    call: "badge(k [, pool])",
    doc: "k faces for people to label whose gradients are large and differ from each other: `rank` from 1, `face_id`, \
          `distance` to the nearest chosen before, null for the first. BADGE (Ash et al. 2020): k-means++ over the \
          gradients of the last layer that each face would give if its predicted class were right, begun at the \
          longest. The pool are `pool` undecided faces of subset II with a feature of the round, drawn at random, the \
          same in every call (10,000 unless said; at most 20,000, about 2 kB of memory each). In queue.sql the faces \
          are those of the round under way.",
    example: "select rank, face_id, round(distance, 3) from badge(2) order by rank",
    answer: "1 c NULL\n2 a 0.578",
    make: Make::Query {
        sql: include_str!("badge.sql"),
        make: |template, _| {
            Arc::new(ChoiceFunction { function: &FUNCTION, template, pool: |_| POOL, rule: k_means_plus_plus })
        },
    },
};

fn k_means_plus_plus(pool: &Pool, k: usize) -> BoxFuture<'_, Chosen> {
    let gradients = Gradients::of(pool);
    let mut random = StdRng::seed_from_u64(SEED);
    let first =
        (0..pool.len()).reduce(|best, face| if gradients.norm(face) > gradients.norm(best) { face } else { best });
    async move {
        let distance = |a, b| gradients.distance(a, b);
        one_by_one(pool, k, first, distance, |nearest| drawn(nearest, &mut random)).await
    }
    .boxed()
}

/// A face by the square of its distance to the nearest one chosen; the first left where all are copies of those.
fn drawn(nearest: &[f32], random: &mut StdRng) -> Option<usize> {
    let square = |distance: &f32| f64::from(distance.max(0.0)).powi(2);
    let total: f64 = nearest.iter().map(square).sum();
    let mut left = random.random::<f64>() * total;
    for (face, distance) in nearest.iter().enumerate() {
        left -= square(distance);
        if left < 0.0 {
            return Some(face);
        }
    }
    nearest
        .iter()
        .rposition(|distance| *distance > 0.0)
        .or_else(|| nearest.iter().position(|distance| *distance >= 0.0))
}

/// The gradients (p − y) ⊗ h, never written out: the product of two is that of their parts.
struct Gradients<'a> {
    pool: &'a Pool,
    /// p − y, y being the predicted class, by face.
    errors: Vec<Vec<f32>>,
}

impl<'a> Gradients<'a> {
    fn of(pool: &'a Pool) -> Self {
        let error = |face| {
            let mut error = pool.probabilities(face).to_vec();
            let predicted =
                (0..error.len()).reduce(|best, class| if error[class] > error[best] { class } else { best });
            predicted.into_iter().for_each(|class| error[class] -= 1.0);
            error
        };
        Self { pool, errors: (0..pool.len()).map(error).collect() }
    }

    fn product(&self, a: usize, b: usize) -> f32 {
        dot(&self.errors[a], &self.errors[b]) * dot(self.pool.feature(a), self.pool.feature(b))
    }

    fn norm(&self, face: usize) -> f32 {
        self.product(face, face)
    }

    fn distance(&self, a: usize, b: usize) -> f32 {
        (self.norm(a) + self.norm(b) - 2.0 * self.product(a, b)).max(0.0).sqrt()
    }
}
