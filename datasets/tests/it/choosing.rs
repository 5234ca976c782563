//! Label budgets, seeded draws, held-out shares and groups of near copies.

use marginalia_datasets::{Classes, Draw, Error, HoldOut, LabelBudget, Split, draw_key, groups_sharing, near_groups};
use proptest::prelude::*;

fn budget(text: &str) -> LabelBudget {
    text.parse().unwrap()
}

#[test]
fn budgets_are_written_in_four_ways() {
    for (text, wanted) in [
        ("all", LabelBudget::All),
        ("400", LabelBudget::Total(400)),
        ("per-class:25", LabelBudget::PerClass(25)),
        ("ada-cm:100", LabelBudget::AdaCm(100)),
    ] {
        assert_eq!(budget(text), wanted);
        assert_eq!(wanted.to_string(), text);
    }
    for text in ["", "0", "-1", "per-class", "per-class:0", "per-class:x", "ada-cm:", "each:3", "all:3"] {
        assert!(text.parse::<LabelBudget>().is_err(), "{text}");
    }
}

#[test]
fn ada_cm_follows_the_papers_table() {
    let classes = Classes::standard();
    for (total, fear, other) in [(100, 10, 15), (400, 40, 60), (1000, 100, 150), (2000, 200, 300), (4000, 250, 625)] {
        let counts = LabelBudget::AdaCm(total).per_class(&classes, &[5000; 7]).unwrap();
        for (i, &count) in counts.iter().enumerate() {
            assert_eq!(count, if classes.name(i) == "fear" { fear } else { other });
        }
    }
}

#[test]
fn a_total_follows_the_shares_of_what_there_is() {
    let classes = Classes::new(["a", "b", "c"]).unwrap();
    assert_eq!(budget("10").per_class(&classes, &[50, 30, 20]).unwrap(), [5, 3, 2]);
    assert_eq!(budget("4").per_class(&classes, &[50, 30, 20]).unwrap(), [2, 1, 1]);
    assert_eq!(budget("all").per_class(&classes, &[50, 0, 20]).unwrap(), [50, 0, 20]);
}

#[test]
fn too_few_faces_are_named() {
    let classes = Classes::standard();
    let available = [100, 100, 100, 100, 9, 100, 100];
    for text in ["per-class:10", "ada-cm:100"] {
        match budget(text).per_class(&classes, &available) {
            Err(Error::TooFewInClass { class, wanted, available }) => {
                assert_eq!((class.as_str(), wanted, available), ("fear", 10, 9));
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(matches!(budget("1000").per_class(&classes, &available), Err(Error::TooFewFaces { .. })));
}

#[test]
fn keys_depend_on_seed_and_face() {
    assert_eq!(draw_key(1, "a"), draw_key(1, "a"));
    assert_ne!(draw_key(1, "a"), draw_key(2, "a"));
    assert_ne!(draw_key(1, "a"), draw_key(1, "b"));
}

#[test]
fn about_the_asked_share_is_held_out_and_more_percent_hold_out_more() {
    let ten = HoldOut { split: Split::Validation, percent: 10.0 };
    let twenty = HoldOut { split: Split::Validation, percent: 20.0 };
    let faces: Vec<String> = (0..10_000).map(|i| format!("face {i}")).collect();
    let held = |hold: HoldOut| faces.iter().filter(|face| hold.holds(5, face)).count();
    // Ten standard deviations.
    assert!(held(ten).abs_diff(1000) < 300);
    assert!(held(twenty).abs_diff(2000) < 400);
    assert!(faces.iter().all(|face| !ten.holds(5, face) || twenty.holds(5, face)));
    // Who is held out says nothing about who is drawn first.
    let mut draw = Draw::new(5, 1000);
    faces.iter().for_each(|face| draw.offer(face));
    let both = draw.into_faces().iter().filter(|face| ten.holds(5, face)).count();
    assert!(both < 200);
}

/// Groups by comparing all pairs.
fn groups_by_force(hashes: &[u64], distance: u32) -> Vec<u32> {
    let mut groups: Vec<u32> = (0..hashes.len() as u32).collect();
    loop {
        let before = groups.clone();
        for a in 0..hashes.len() {
            for b in 0..hashes.len() {
                if (hashes[a] ^ hashes[b]).count_ones() <= distance {
                    groups[a] = groups[a].min(groups[b]);
                }
            }
        }
        if groups == before {
            return groups;
        }
    }
}

/// Hashes that lie in clouds around a few centres, as those of real copies do.
fn clouds() -> impl Strategy<Value = Vec<u64>> {
    let member = (0usize..5, proptest::collection::vec(0u32..64, 0..8));
    (proptest::collection::vec(any::<u64>(), 5), proptest::collection::vec(member, 0..60)).prop_map(
        |(centres, members)| {
            let hash =
                |(centre, flips): (usize, Vec<u32>)| flips.iter().fold(centres[centre], |hash, bit| hash ^ 1 << bit);
            members.into_iter().map(hash).collect()
        },
    )
}

proptest! {
    #[test]
    fn budgets_add_up_and_stay_within_what_there_is(
        available in proptest::collection::vec(0usize..500, 7),
        total in 1usize..2000,
    ) {
        let classes = Classes::standard();
        match LabelBudget::Total(total).per_class(&classes, &available) {
            Ok(counts) => {
                prop_assert_eq!(counts.iter().sum::<usize>(), total);
                prop_assert!(counts.iter().zip(&available).all(|(count, available)| count <= available));
                let all: usize = available.iter().sum();
                for (&count, &available) in counts.iter().zip(&available) {
                    let exact = total as f64 * available as f64 / all as f64;
                    prop_assert!((count as f64 - exact).abs() < 1.0);
                }
            }
            Err(error) => {
                prop_assert!(available.iter().sum::<usize>() < total, "{}", error);
            }
        }
        let counts = LabelBudget::AdaCm(total).per_class(&classes, &[usize::MAX; 7]).unwrap();
        prop_assert_eq!(counts.iter().sum::<usize>(), total);
    }

    #[test]
    fn a_draw_does_not_depend_on_order_or_repeats(
        faces in proptest::collection::vec("[a-f0-9]{4}", 0..60).prop_shuffle(),
        seed in any::<u64>(),
        limit in 0usize..20,
    ) {
        let draw = |faces: &[String]| {
            let mut draw = Draw::new(seed, limit);
            faces.iter().for_each(|face| draw.offer(face));
            draw.into_faces()
        };
        let mut sorted = faces.clone();
        sorted.sort_by_key(|face| draw_key(seed, face));
        sorted.dedup();
        let wanted: Vec<String> = sorted.iter().take(limit).cloned().collect();
        prop_assert_eq!(&draw(&faces), &wanted);
        prop_assert_eq!(&draw(&[faces.clone(), faces].concat()), &wanted);
    }

    #[test]
    fn near_groups_are_those_found_by_comparing_all(hashes in clouds(), distance in 0u32..12) {
        prop_assert_eq!(near_groups(&hashes, distance), groups_by_force(&hashes, distance));
    }

    /// Two places are in one group afterwards if a chain of places leads from one to the other, each step within a group or
    /// between equal keys.
    #[test]
    fn groups_that_share_a_key_are_one(
        places in prop::collection::vec((0u32..12, prop::option::of(0u8..6)), 0..40)
    ) {
        let first = |of: &dyn Fn(usize) -> bool| (0..places.len()).find(|&place| of(place)).unwrap_or_default() as u32;
        let groups: Vec<u32> = places.iter().map(|(group, _)| first(&|at| places[at].0 == *group)).collect();
        let names: Vec<Option<String>> = places.iter().map(|(_, key)| key.map(|key| key.to_string())).collect();
        let keys: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
        let mut expected: Vec<u32> = (0..places.len() as u32).collect();
        loop {
            let before = expected.clone();
            for a in 0..places.len() {
                for b in 0..places.len() {
                    if groups[a] == groups[b] || (keys[a].is_some() && keys[a] == keys[b]) {
                        expected[a] = expected[a].min(expected[b]);
                    }
                }
            }
            if expected == before {
                break;
            }
        }
        prop_assert_eq!(groups_sharing(&groups, &keys), expected);
    }
}

#[test]
fn banding_finds_what_comparing_all_finds_in_a_crowd() {
    // Enough hashes that bands are cheaper than pairs; every third is a copy with a few bits flipped.
    let mut hashes = Vec::new();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ state >> 29
    };
    for i in 0..6000 {
        let fresh = next();
        let flips = (0..next() >> 32 & 7).fold(0, |flips, _| flips | 1 << (next() >> 40 & 63));
        hashes.push(if i % 3 == 2 { hashes[i - 2] ^ flips } else { fresh });
    }
    for distance in [0, 1, 3, 4, 7] {
        let groups = near_groups(&hashes, distance);
        for a in 0..hashes.len() {
            for b in 0..a {
                if (hashes[a] ^ hashes[b]).count_ones() <= distance {
                    assert_eq!(groups[a], groups[b], "distance {distance}");
                }
            }
            assert!(groups[a] as usize <= a);
        }
    }
}
