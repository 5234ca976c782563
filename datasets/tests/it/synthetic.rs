//! Drawn faces.

use std::collections::{BTreeMap, HashSet};

use marginalia_datasets::{Classes, Format, Limits, SyntheticFaces, admit, decode};

#[test]
fn a_face_depends_on_seed_and_index_alone() {
    let classes = Classes::standard();
    let faces = SyntheticFaces::new(7, 48, &classes);
    let late = faces.face(1_000_000);
    assert_eq!(late, SyntheticFaces::new(7, 48, &classes).face(1_000_000));
    assert_ne!(late.image, faces.face(1_000_001).image);
    assert_ne!(late.image, SyntheticFaces::new(8, 48, &classes).face(1_000_000).image);
}

#[test]
fn faces_are_admitted_in_both_encodings() {
    let faces = SyntheticFaces::new(1, 64, &Classes::standard());
    for index in 0..30 {
        let face = faces.face(index);
        let png = admit(face.png(), &Limits::default()).unwrap();
        assert_eq!((png.format, png.width, png.height), (Format::Png, 64, 64));
        assert_eq!(decode(&png.image, &Limits::default()).unwrap(), face.image);
        assert_eq!(admit(face.jpeg(90), &Limits::default()).unwrap().format, Format::Jpeg);
    }
}

#[test]
fn classes_come_unevenly_and_people_come_back() {
    let classes = Classes::with_contempt();
    let faces = SyntheticFaces::new(2, 16, &classes);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut people: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    let mut images = HashSet::new();
    for index in 0..4096 {
        let face = faces.face(index);
        *counts.entry(face.class.clone()).or_default() += 1;
        people.entry(face.subject.clone()).or_default().insert(face.class.clone());
        images.insert(face.image.into_raw());
    }
    assert_eq!(counts.len(), classes.len());
    assert!(counts["happiness"] > 3 * counts["disgust"], "{counts:?}");
    assert!(people.len() > 400 && people.len() <= 512);
    assert!(people.values().filter(|classes| classes.len() > 1).count() > 400);
    assert_eq!(images.len(), 4096);
}

#[test]
fn classes_of_ones_own_are_drawn_too() {
    let classes = Classes::new(["bored", "happy"]).unwrap();
    let faces = SyntheticFaces::new(3, 32, &classes);
    let names: HashSet<String> = (0..50).map(|index| faces.face(index).class).collect();
    assert_eq!(names.len(), 2);
}

#[test]
fn the_expression_can_be_seen() {
    // The rows around the mouth, averaged over many faces, differ more between classes than within one.
    let faces = SyntheticFaces::new(4, 32, &Classes::standard());
    let mut sums: BTreeMap<String, (Vec<f64>, usize)> = BTreeMap::new();
    for index in 0..3000 {
        let face = faces.face(index);
        let half = if index % 2 == 0 { "a" } else { "b" };
        let (sum, count) = sums.entry(format!("{} {half}", face.class)).or_insert_with(|| (vec![0.0; 32 * 32], 0));
        for (sum, pixel) in sum.iter_mut().zip(face.image.pixels()) {
            *sum += pixel.0.iter().map(|&value| f64::from(value)).sum::<f64>();
        }
        *count += 1;
    }
    let mean = |name: &str| {
        let (sum, count) = &sums[name];
        let mean: Vec<f64> = sum[18 * 32..29 * 32].iter().map(|value| value / *count as f64).collect();
        let overall = mean.iter().sum::<f64>() / mean.len() as f64;
        mean.into_iter().map(|value| value - overall).collect::<Vec<_>>()
    };
    let distance = |a: &str, b: &str| mean(a).iter().zip(mean(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    let within = distance("happiness a", "happiness b").max(distance("surprise a", "surprise b"));
    assert!(distance("happiness a", "surprise b") > 2.0 * within);
}
