//! The map: faces that are alike stand together, and a map that continues another keeps its shape.

use std::num::NonZeroUsize;

use marginalia_trainer::projection::{Place, project};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LENGTH: usize = 16;
const CLUSTERS: usize = 4;

/// Features of norm 1 around a direction for each cluster, the clusters taking turns.
fn features(faces: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    (0..faces)
        .flat_map(|face| {
            let mut feature: Vec<f32> = (0..LENGTH).map(|_| rng.random_range(-0.1..0.1)).collect();
            feature[face % CLUSTERS] += 1.0;
            let norm = feature.iter().map(|x| x * x).sum::<f32>().sqrt();
            feature.into_iter().map(move |x| x / norm)
        })
        .collect()
}

fn map(faces: usize, before: &[Option<Place>]) -> Vec<Place> {
    project(features(faces), NonZeroUsize::new(LENGTH).unwrap(), before, 2).unwrap()
}

fn distance(a: Place, b: Place) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Share of faces whose nearest face on the map is of their own cluster.
fn purity(places: &[Place]) -> f32 {
    let right = (0..places.len()).filter(|&face| {
        let others = (0..places.len()).filter(|other| *other != face);
        let nearest =
            others.min_by(|a, b| distance(places[face], places[*a]).total_cmp(&distance(places[face], places[*b])));
        nearest.unwrap() % CLUSTERS == face % CLUSTERS
    });
    right.count() as f32 / places.len() as f32
}

#[test]
fn faces_that_are_alike_stand_together() {
    let places = map(400, &[]);
    assert_eq!(places.len(), 400);
    assert!(places.iter().flatten().all(|x| x.is_finite()));
    assert!(purity(&places) > 0.99, "{}", purity(&places));
    let middle = [0, 1].map(|axis| places.iter().map(|place| place[axis]).sum::<f32>() / 400.0);
    assert!(middle.iter().all(|x| x.abs() < 1e-2), "{middle:?}");
}

#[test]
fn a_map_that_continues_another_keeps_its_shape() {
    let first = map(400, &[]);
    // A tenth of the faces is new.
    let before: Vec<Option<Place>> =
        first.iter().enumerate().map(|(i, place)| (i % 10 != 9).then_some(*place)).collect();
    let second = map(400, &before);
    assert!(purity(&second) > 0.99);
    let wide = first.iter().map(|place| place[0].hypot(place[1])).fold(0.0, f32::max);
    let mut moved: Vec<f32> = first.iter().zip(&second).map(|(a, b)| distance(*a, *b)).collect();
    moved.sort_by(f32::total_cmp);
    assert!(moved[200] < 0.3 * wide, "half of the faces moved by {} or more on a map {wide} wide", moved[200]);
}

#[test]
fn a_handful_of_faces_has_a_map_too() {
    for faces in [0, 1, 9, 10, 11] {
        let places = map(faces, &[]);
        assert_eq!(places.len(), faces);
        assert!(places.iter().flatten().all(|x| x.is_finite()));
    }
    // All the same face.
    let same = vec![0.25; 50 * LENGTH];
    let places = project(same, NonZeroUsize::new(LENGTH).unwrap(), &[], 1).unwrap();
    assert!(places.iter().flatten().all(|x| x.is_finite()));
}
