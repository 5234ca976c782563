//! The map: features in two dimensions, so that people see at one glance what the teacher finds alike.
//!
//! In: a feature for each face, and where some of them stood on the map before. Out: a place for each. The method is
//! t-SNE (van der Maaten and Hinton 2008) with interpolated repulsion (Linderman et al. 2019), whose cost grows with
//! the faces and not with their square; neighbours are exact. A map that continues an earlier one keeps its shape:
//! people find again what they saw there.

use std::num::NonZeroUsize;

use bhtsne::{Neighbor, tSNE};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::Result;
use crate::learner::thread_pool;

/// A place on the map: from left to right, from bottom to top.
pub type Place = [f32; 2];

/// How many neighbours have a say about a face's place, roughly.
const PERPLEXITY: f32 = 30.0;
/// Iterations of a map made anew …
const EPOCHS: usize = 750;
/// … and of one that continues another.
const CONTINUED_EPOCHS: usize = 250;
/// Faces whose distances to all others are computed at once.
const BLOCK: usize = 512;
/// Fewer faces than this have no neighbourhoods worth a map; they stand in a row.
const FEW: usize = 10;

/// Places of the faces whose features stand one after the other in `features`, `length` numbers each, every one of norm
/// 1 (or all zero); `before` has their places on an earlier map, as far as they had one. The map is centred; its unit
/// means nothing. On `threads` threads, 0 = all cores. The same input gives nearly the same map: sums are not ordered.
///
/// # Errors
/// Threads that cannot be started, memory that is not there.
pub fn project(
    features: Vec<f32>,
    length: NonZeroUsize,
    before: &[Option<Place>],
    threads: usize,
) -> Result<Vec<Place>> {
    let faces = features.len() / length;
    if faces < FEW {
        return Ok((0..faces).map(|face| [face as f32, 0.0]).collect());
    }
    thread_pool(threads, "map")?.install(|| {
        let perplexity = PERPLEXITY.min((faces - 1) as f32 / 3.0);
        let neighbours = nearest(features, length.get(), faces, (3.0 * perplexity) as usize)?;
        let nothing = vec![(); faces];
        let mut map: tSNE<'_, f32, (), 2> = tSNE::new(&nothing);
        map.perplexity(perplexity);
        match continued(&neighbours, before) {
            Some(places) => map.initial_embedding(places.concat()).stop_lying_epoch(0).epochs(CONTINUED_EPOCHS),
            None => map.spectral_init().epochs(EPOCHS),
        };
        map.fit_sne_with_neighbors(&neighbours);
        let mut places: Vec<Place> = map.embedding().chunks_exact(2).map(|place| [place[0], place[1]]).collect();
        centre(&mut places);
        Ok(places)
    })
}

/// The `count` nearest of each face, by Euclidean distance of features of norm 1.
fn nearest(features: Vec<f32>, length: usize, faces: usize, count: usize) -> Result<Vec<Vec<Neighbor<f32>>>> {
    let all = Tensor::from_vec(features, (faces, length), &Device::Cpu)?;
    let turned = all.t()?.contiguous()?;
    let mut neighbours = Vec::with_capacity(faces);
    for begin in (0..faces).step_by(BLOCK) {
        let rows = BLOCK.min(faces - begin);
        let cosines = all.narrow(0, begin, rows)?.matmul(&turned)?.flatten_all()?.to_vec1::<f32>()?;
        let found = cosines.par_chunks_exact(faces).enumerate().map(|(row, cosines)| {
            let mut others: Vec<u32> = (0..faces as u32).filter(|other| *other as usize != begin + row).collect();
            let nearer = |a: &u32, b: &u32| cosines[*b as usize].total_cmp(&cosines[*a as usize]).then(a.cmp(b));
            if others.len() > count {
                others.select_nth_unstable_by(count, nearer);
                others.truncate(count);
            }
            others.sort_unstable_by(nearer);
            let distance = |other: u32| (2.0 - 2.0 * cosines[other as usize]).max(0.0).sqrt();
            others.into_iter().map(|other| Neighbor { index: other as usize, distance: distance(other) }).collect()
        });
        neighbours.par_extend(found);
    }
    Ok(neighbours)
}

/// Where faces begin on a map that continues another: where they were, new ones amid their neighbours; none where too
/// few were there.
fn continued(neighbours: &[Vec<Neighbor<f32>>], before: &[Option<Place>]) -> Option<Vec<Place>> {
    let known = before.iter().flatten().count();
    if 2 * known < neighbours.len() {
        return None;
    }
    let place = |(face, near): (usize, &Vec<Neighbor<f32>>)| {
        if let Some(Some(place)) = before.get(face) {
            return *place;
        }
        let near: Vec<Place> =
            near.iter().filter_map(|near| before.get(near.index).copied().flatten()).take(5).collect();
        mean(&near)
    };
    Some(neighbours.iter().enumerate().map(place).collect())
}

fn centre(places: &mut [Place]) {
    let middle = mean(places);
    for place in places {
        *place = [place[0] - middle[0], place[1] - middle[1]];
    }
}

/// The mean of some places; the middle of the map where there are none.
fn mean(places: &[Place]) -> Place {
    let n = places.len().max(1) as f32;
    [0, 1].map(|axis| places.iter().map(|place| place[axis]).sum::<f32>() / n)
}
