//! Oulu-CASIA.

use marginalia_datasets::{Classes, ReadRequest, count_differences, reader};

use crate::support::{faces, folder, jpeg, read, read_with, refusal, rejects, skipped};

/// Two people under two lights and cameras, with gaps between the frames.
pub fn sequences() -> tempfile::TempDir {
    let mut files = vec![("B_OriginalImg/VL/Strong/P001/Anger/.DS_Store".to_owned(), b"Bud1".to_vec())];
    for (place, frames) in [
        ("VL/Strong/P001/Anger", vec![0, 1, 2, 5, 10]),
        ("VL/Strong/P002/Happiness", vec![0, 1]),
        ("VL/Dark/P001/Anger", vec![0, 1, 2, 3]),
        ("NI/Strong/P001/Sadness", vec![0, 1, 2, 3]),
    ] {
        for frame in frames {
            files.push((format!("B_OriginalImg/{place}/{frame:03}.jpeg"), jpeg(frame)));
        }
        files.push((format!("B_OriginalImg/{place}/eyes.txt"), b"000 120 130\n".to_vec()));
    }
    files.push(("PreProcess_Img/VL_Acropped/Strong/P001/Anger/000.jpeg".to_owned(), jpeg(77)));
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    folder(&files)
}

#[test]
fn the_last_frames_in_visible_light_under_strong_light_are_the_default() {
    let (set, classes) = (sequences(), Classes::standard());
    let all = read("oulu-casia", &ReadRequest::new(set.path(), &classes)).unwrap();
    assert_eq!(
        faces(&all),
        [
            "002.jpeg anger - P001",
            "005.jpeg anger - P001",
            "010.jpeg anger - P001",
            "000.jpeg happiness - P002",
            "001.jpeg happiness - P002",
        ]
    );
    assert!(rejects(&all).is_empty());
    let skipped = skipped(&all);
    assert_eq!(skipped.len(), 1 + 2 + 4 + 4 + 1, "{skipped:?}");
    assert!(skipped.contains(&"000.jpeg: not a frame under NI or VL".to_owned()));
}

#[test]
fn frames_camera_light_and_neutral_are_choices() {
    let (set, classes) = (sequences(), Classes::standard());
    let chosen = |options: &[&str]| faces(&read_with("oulu-casia", set.path(), &classes, options).unwrap());
    assert_eq!(chosen(&["frames=1", "camera=NI"]), ["003.jpeg sadness - P001"]);
    assert_eq!(chosen(&["frames=1", "light=dark", "camera=both"]), ["003.jpeg anger - P001"]);
    assert_eq!(chosen(&["frames=1", "light=all", "camera=both"]).len(), 4);
    assert_eq!(
        chosen(&["frames=1", "neutral=first"]),
        ["000.jpeg neutral - P001", "010.jpeg anger - P001", "000.jpeg neutral - P002", "001.jpeg happiness - P002",]
    );
}

#[test]
fn what_is_no_oulu_casia_is_refused() {
    let classes = Classes::standard();
    let refused =
        |set: &tempfile::TempDir| refusal(read("oulu-casia", &ReadRequest::new(set.path(), &classes)), set.path());
    let unknown = folder(&[("VL/Strong/P001/Boredom/000.jpeg", jpeg(1))]);
    let other = folder(&[("happy/1.jpg", jpeg(1))]);
    insta::assert_snapshot!([&unknown, &other].map(refused).join("\n"));
}

#[test]
fn any_number_of_frames_and_conditions_is_compared_with_the_published_counts() {
    let known = reader("oulu-casia").unwrap().known_counts();
    let classes = ["anger", "disgust", "fear", "happiness", "sadness", "surprise"];
    for (frames, conditions) in [(1, 1), (3, 1), (3, 6), (5, 2)] {
        let mut read: Vec<_> = classes.iter().map(|class| (*class, 80 * frames * conditions)).collect();
        assert_eq!(count_differences(known, &read), []);
        read.push(("neutral", 480 * conditions));
        assert_eq!(count_differences(known, &read), []);
        read[2].1 -= 1;
        assert_eq!(count_differences(known, &read).len(), 1);
    }
}
