//! CK+ in its forms.

use marginalia_datasets::{Classes, ReadRequest, count_differences, reader};

use crate::support::{faces, folder, png, read, read_with, refusal, rejects, skipped, write};

/// Two labelled sequences and one without a label; frames begin anywhere and have gaps.
pub fn sequences() -> tempfile::TempDir {
    let mut files = vec![
        ("Emotion/S005/001/S005_001_00000011_emotion.txt".to_owned(), b"   3.0000000e+00\n".to_vec()),
        ("Emotion/S010/004/S010_004_00000019_emotion.txt".to_owned(), b"   2.0000000e+00\n".to_vec()),
        ("Emotion/S010/.DS_Store".to_owned(), b"Bud1".to_vec()),
        ("FACS/S005/001/S005_001_00000011_facs.txt".to_owned(), b"   9.0000000e+00   4.0000000e+00\n".to_vec()),
        ("cohn-kanade-images/S005/.DS_Store".to_owned(), b"Bud1".to_vec()),
        ("cohn-kanade-images/S005/001/Thumbs.db".to_owned(), b"thumbs".to_vec()),
    ];
    for (sequence, frames) in
        [("S005_001", vec![3, 4, 7, 9, 11]), ("S010_004", vec![17, 18, 19]), ("S999_002", vec![1, 2])]
    {
        for frame in frames {
            let folder = sequence.replace('_', "/");
            let name = format!("cohn-kanade-images/{folder}/{sequence}_{frame:08}.png");
            files.push((name, png(frame)));
        }
    }
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    folder(&files)
}

/// The last three frames of three sequences, in class folders.
pub fn ck_48() -> tempfile::TempDir {
    let mut files = Vec::new();
    for (class, sequence) in [("anger", "S010_004"), ("contempt", "S138_008"), ("happy", "S010_006")] {
        for frame in 17..20 {
            files.push((format!("CK+48/{class}/{sequence}_{frame:08}.png"), png(frame)));
        }
    }
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    folder(&files)
}

#[test]
fn the_last_frames_have_the_sequences_class() {
    let set = sequences();
    let classes = Classes::with_contempt();
    let all = read_with("ck-plus", set.path(), &classes, &["frames=2"]).unwrap();
    assert_eq!(
        faces(&all),
        [
            "S005_001_00000009.png disgust - S005",
            "S005_001_00000011.png disgust - S005",
            "S010_004_00000018.png contempt - S010",
            "S010_004_00000019.png contempt - S010",
            // Without a label a sequence is unlabelled, not neutral.
            "S999_002_00000001.png - - S999",
            "S999_002_00000002.png - - S999",
        ]
    );
    assert!(rejects(&all).is_empty());
    assert_eq!(
        skipped(&all),
        [
            ".DS_Store: a hidden file",
            ".DS_Store: a hidden file",
            "S005_001_00000003.png: a frame of its sequence that is not asked for",
            "S005_001_00000004.png: a frame of its sequence that is not asked for",
            "S005_001_00000007.png: a frame of its sequence that is not asked for",
            "S010_004_00000017.png: a frame of its sequence that is not asked for",
            "Thumbs.db: a file of the operating system",
        ]
    );
    let one = read_with("ck-plus", set.path(), &classes, &["frames=1"]).unwrap();
    assert_eq!(one.faces.len(), 3);
    // Three by default, and not more than there are.
    assert_eq!(read("ck-plus", &ReadRequest::new(set.path(), &classes)).unwrap().faces.len(), 3 + 3 + 2);
    // Seven classes have no contempt.
    let seven = read_with("ck-plus", set.path(), &Classes::standard(), &["frames=1"]).unwrap();
    assert_eq!(seven.faces.len(), 2);
}

#[test]
fn a_sequence_with_two_label_files_has_one_label_or_none() {
    let (set, classes) = (sequences(), Classes::with_contempt());
    let again = "Emotion/S005/001/S005_001_00000009_emotion.txt";
    let other = "more/Emotion/S010/004/S010_004_00000019_emotion.txt";
    write(set.path(), again, b"3\n");
    write(set.path(), other, b"   7.0000000e+00\n");
    let all = read_with("ck-plus", set.path(), &classes, &["frames=1", "neutral=labelled"]).unwrap();
    assert_eq!(
        faces(&all),
        [
            "S005_001_00000003.png neutral - S005",
            "S005_001_00000011.png disgust - S005",
            // Which expression it ends with is in doubt, not how it begins.
            "S010_004_00000017.png neutral - S010",
            "S999_002_00000002.png - - S999",
        ]
    );
    let file = |name: &str| set.path().join(name).display().to_string();
    let (first, second) = (file("Emotion/S010/004/S010_004_00000019_emotion.txt"), file(other));
    let disagree = format!("its labels disagree, `2.0000000e+00` in {first} and `7.0000000e+00` in {second}");
    assert_eq!(
        rejects(&all),
        [format!(
            "S010_004_00000019.png: the image has no label that can be read: {disagree}; keep the one that is right"
        )]
    );
    // The first file by path holds.
    let skipped = skipped(&all);
    let told = "S005_001_00000011_emotion.txt: another file says the same of the sequence".to_owned();
    assert!(skipped.contains(&told), "{skipped:?}");
    // Where labels are not read nothing disagrees.
    let request = ReadRequest { unlabelled: true, ..ReadRequest::new(set.path(), &classes) };
    let all = read("ck-plus", &request).unwrap();
    assert_eq!((all.faces.len(), all.rejects.len()), (3 + 3 + 2, 0));
}

#[test]
fn first_frames_are_neutral_by_choice() {
    let (set, classes) = (sequences(), Classes::with_contempt());
    let neutral = |choice: &str| {
        let all = read_with("ck-plus", set.path(), &classes, &["frames=1", choice]).unwrap();
        faces(&all).into_iter().filter(|face| face.contains("neutral")).collect::<Vec<_>>()
    };
    let labelled = ["S005_001_00000003.png neutral - S005", "S010_004_00000017.png neutral - S010"];
    assert!(neutral("neutral=none").is_empty());
    assert_eq!(neutral("neutral=labelled"), labelled);
    assert_eq!(neutral("neutral=all"), [labelled[0], labelled[1], "S999_002_00000001.png neutral - S999"]);
    // A frame that shows the expression is not neutral too.
    let all = read_with("ck-plus", set.path(), &classes, &["frames=3", "neutral=all"]).unwrap();
    assert_eq!(faces(&all).iter().filter(|face| face.contains("neutral")).count(), 1);
}

#[test]
fn ck_48_has_its_classes_as_folders() {
    let (set, classes) = (ck_48(), Classes::with_contempt());
    let all = read("ck-plus", &ReadRequest::new(set.path(), &classes)).unwrap();
    assert_eq!(all.faces.len(), 9);
    assert_eq!(faces(&all)[0], "S010_004_00000017.png anger - S010");
    let last = read_with("ck-plus", &set.path().join("CK+48"), &classes, &["frames=1"]).unwrap();
    assert_eq!(
        faces(&last),
        [
            "S010_004_00000019.png anger - S010",
            "S138_008_00000019.png contempt - S138",
            "S010_006_00000019.png happiness - S010",
        ]
    );
}

#[test]
fn what_cannot_be_understood_is_refused() {
    let classes = Classes::standard();
    let refused = |set: &tempfile::TempDir, options: &[&str]| {
        refusal(read_with("ck-plus", set.path(), &classes, options), set.path())
    };
    let without_labels = folder(&[("cohn-kanade-images/S005/001/S005_001_00000011.png", png(1))]);
    let label = |text: &str| {
        folder(&[
            ("cohn-kanade-images/S005/001/S005_001_00000011.png", png(1)),
            ("Emotion/S005/001/S005_001_00000011_emotion.txt", text.into()),
        ])
    };
    let other = folder(&[("happy/1.png", png(1))]);
    let messages = [
        refused(&without_labels, &[]),
        refused(&label("   9.0000000e+00\n"), &[]),
        refused(&label("joy"), &[]),
        refused(&ck_48(), &["neutral=all"]),
        refused(&folder(&[("CK+48/grim/S005_001_00000011.png", png(1))]), &[]),
        refused(&other, &[]),
    ];
    insta::assert_snapshot!(messages.join("\n"));
    let request = ReadRequest { unlabelled: true, ..ReadRequest::new(without_labels.path(), &classes) };
    assert_eq!(read("ck-plus", &request).unwrap().faces.len(), 1);
}

#[test]
fn any_number_of_frames_is_compared_with_the_published_counts() {
    let known = reader("ck-plus").unwrap().known_counts();
    let counts = [
        ("anger", 45),
        ("contempt", 18),
        ("disgust", 59),
        ("fear", 25),
        ("happiness", 69),
        ("sadness", 28),
        ("surprise", 83),
    ];
    for frames in 1..=7 {
        let mut read: Vec<(&str, usize)> = counts.iter().map(|(class, count)| (*class, count * frames)).collect();
        assert_eq!(count_differences(known, &read), []);
        read.push(("neutral", 327 + 266));
        assert_eq!(count_differences(known, &read), []);
    }
    // CK+48.
    let read = [
        ("anger", 135),
        ("contempt", 54),
        ("disgust", 177),
        ("fear", 75),
        ("happiness", 207),
        ("sadness", 84),
        ("surprise", 248),
    ];
    let differences = count_differences(known, &read);
    assert_eq!((differences.len(), differences[0].known), (1, 249));
}
