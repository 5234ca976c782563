//! The published FER2013 images, where they are at hand.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use marginalia_datasets::{Classes, Item, Limits, ReadRequest, Split, admit, count_differences, near_groups, reader};

use crate::support::real_data;

/// Faces read per class.
type Counts = BTreeMap<String, usize>;
/// Ids and perceptual hashes that admission found.
type Faces = Vec<(String, u64)>;

fn read_all(name: &str) -> Option<(Counts, Faces)> {
    let path = real_data(name)?.join(name);
    assert!(path.is_file(), "{} is missing", path.display());
    let classes = Classes::standard();
    let mut counts = Counts::new();
    let mut faces = Faces::new();
    reader("fer2013")
        .unwrap()
        .read(&ReadRequest::new(&path, &classes), &mut |item| {
            let Item::Face(record) = item else { panic!("{item:?}") };
            let test = record.source.contains("PublicTest");
            assert_eq!(record.split, Some(if test { Split::Test } else { Split::Train }));
            *counts.entry(record.given_class.expect("a class")).or_default() += 1;
            let face = admit(record.image, &Limits::default()).expect("admitted");
            assert_eq!((face.width, face.height), (48, 48));
            faces.push((face.face_id, face.perceptual_hash));
            ControlFlow::Continue(())
        })
        .unwrap();
    Some((counts, faces))
}

fn differences(counts: &Counts) -> Vec<marginalia_datasets::CountDifference> {
    let read: Vec<(&str, usize)> = counts.iter().map(|(class, &count)| (class.as_str(), count)).collect();
    count_differences(reader("fer2013").unwrap().known_counts(), &read)
}

#[test]
fn the_training_part_has_its_published_counts_and_repeats() {
    let Some((counts, faces)) = read_all("fer2013-train.tar") else { return };
    assert_eq!(counts.values().sum::<usize>(), 28_709);
    assert_eq!(differences(&counts), []);
    let distinct: HashSet<&str> = faces.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(distinct.len(), 27_473);
    // Near copies join what exact copies leave apart, without drawing everything together.
    let hashes: Vec<u64> = faces.iter().map(|&(_, hash)| hash).collect();
    let groups = near_groups(&hashes, 4);
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    groups.iter().for_each(|&group| *sizes.entry(group).or_default() += 1);
    assert!(sizes.len() < distinct.len() && sizes.len() > 25_000, "{} groups", sizes.len());
    assert!(sizes.values().all(|&size| size < 100));
}

#[test]
fn the_public_test_part_is_told_from_the_training_part() {
    let Some((mut counts, faces)) = read_all("fer2013-publictest.tar") else { return };
    assert_eq!(faces.len(), 3589);
    assert_eq!(differences(&counts), []);
    *counts.get_mut("fear").expect("fear") -= 6;
    let differences = differences(&counts);
    assert_eq!(differences.len(), 1);
    assert_eq!((differences[0].parts.as_str(), differences[0].class.as_str()), ("PublicTest", "fear"));
    assert_eq!(differences[0].known - differences[0].read, 6);
}

#[test]
fn parts_read_together_are_compared_together() {
    let known = reader("fer2013").unwrap().known_counts();
    let mut test: BTreeMap<&str, usize> = BTreeMap::new();
    known
        .iter()
        .filter(|count| count.split == Split::Test)
        .for_each(|count| *test.entry(count.class).or_default() += count.count);
    assert_eq!(test.values().sum::<usize>(), 7178);
    let read: Vec<(&str, usize)> = test.into_iter().collect();
    assert_eq!(count_differences(known, &read), []);
    assert_eq!(count_differences(&[], &read), []);
}
