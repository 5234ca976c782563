//! `typiclust`: the faces that stand for many others, for the first labels of a corpus.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::choice::{ChoiceFunction, Chosen, Pool};
use super::{Function, Make};

/// Neighbours whose mean distance says how typical a face is.
const NEIGHBOURS: usize = 20;
/// Faces of the pool where the call names no number; the work grows with its square.
const POOL: u64 = 4_000;

pub(super) const FUNCTION: Function = Function {
    name: "typiclust",
    call: "typiclust(k [, pool])",
    doc: "k faces for people to label that are most like others: `rank` from 1, `face_id`, `distance`, the mean of the \
          cosine distances to the 20 nearest faces of the same predicted class. TypiClust (Hacohen, Dekel and Weinshall \
          2022) with the predicted classes for clusters, which take turns, the smallest distance first; null for a face \
          without another of its class, which comes last. The pool are `pool` undecided faces of subset II with a feature \
          of the round, drawn at random, the same in every call (4,000 unless said; at most 20,000, about 2 kB \
          of memory each; the time grows with its square). In queue.sql the faces are those of the round under way.",
    example: "select rank, face_id, round(distance, 3) from typiclust(2) order by rank",
    answer: "1 a 1.0\n2 c 1.0",
    make: Make::Query {
        sql: include_str!("typiclust.sql"),
        make: |template, _| {
            Arc::new(ChoiceFunction { function: &FUNCTION, template, pool: |_| POOL, rule: most_typical })
        },
    },
};

fn most_typical(pool: &Pool, k: usize) -> BoxFuture<'_, Chosen> {
    async move {
        let mut classes: Vec<Vec<(usize, Option<f64>)>> = Vec::new();
        for face in 0..pool.len() {
            let class = pool.class(face);
            classes.resize(classes.len().max(class + 1), Vec::new());
            classes[class].push((face, mean_distance(pool, face)));
            tokio::task::yield_now().await;
        }
        let by_distance = |a: &(usize, Option<f64>), b: &(usize, Option<f64>)| match (a.1, b.1) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        let mut turns: Vec<(usize, usize, (usize, Option<f64>))> = Vec::with_capacity(pool.len());
        for (class, faces) in classes.iter_mut().enumerate() {
            faces.sort_by(by_distance);
            turns.extend(faces.iter().enumerate().map(|(turn, face)| (turn, class, *face)));
        }
        turns.sort_by_key(|(turn, class, _)| (*turn, *class));
        turns.into_iter().take(k).map(|(_, _, face)| face).collect()
    }
    .boxed()
}

/// Mean distance to the nearest faces of the same class.
fn mean_distance(pool: &Pool, face: usize) -> Option<f64> {
    let others = (0..pool.len()).filter(|other| *other != face && pool.class(*other) == pool.class(face));
    let mut distances: Vec<f32> = others.map(|other| pool.distance(face, other)).collect();
    if distances.len() > NEIGHBOURS {
        distances.select_nth_unstable_by(NEIGHBOURS - 1, f32::total_cmp);
        distances.truncate(NEIGHBOURS);
    }
    let sum: f64 = distances.iter().map(|distance| f64::from(*distance)).sum();
    (!distances.is_empty()).then(|| sum / distances.len() as f64)
}
