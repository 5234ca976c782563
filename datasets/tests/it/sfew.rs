//! SFEW 2.0.

use marginalia_datasets::{Classes, ReadRequest};

use crate::support::{faces, folder, png, read, refusal, skipped};

pub fn aligned() -> tempfile::TempDir {
    folder(&[
        ("Train/Train_Aligned_Faces/Angry/Airheads_000519240_00000005.png", png(1)),
        ("Train/Train_Aligned_Faces/Happy/Bridesmaids_000323280_00000017.png", png(2)),
        ("Train/Angry/Airheads_000519240_00000005.png", png(3)),
        ("Val/Val_Aligned_Faces_new/Neutral/Hangover_002250560_00000011.png", png(4)),
        ("Test/Test_Aligned_Faces/Unstoppable_003031000_00000009.png", png(5)),
        ("Test/Test_Aligned_Faces/.DS_Store", b"Bud1".to_vec()),
        ("Train/Train_Aligned_Faces/Thumbs.db", b"thumbs".to_vec()),
        ("readme.txt", b"words".to_vec()),
    ])
}

#[test]
fn the_aligned_faces_are_read() {
    let (set, classes) = (aligned(), Classes::standard());
    let all = read("sfew", &ReadRequest::new(set.path(), &classes)).unwrap();
    assert_eq!(
        faces(&all),
        [
            "Unstoppable_003031000_00000009.png - test -",
            "Airheads_000519240_00000005.png anger train -",
            "Bridesmaids_000323280_00000017.png happiness train -",
            "Hangover_002250560_00000011.png neutral validation -",
        ]
    );
    assert_eq!(all.faces[1].image, png(1));
    assert_eq!(
        skipped(&all),
        [
            ".DS_Store: a hidden file",
            "Airheads_000519240_00000005.png: not one of the aligned faces, which alone are read",
            "Thumbs.db: a file of the operating system",
        ]
    );
}

#[test]
fn what_is_no_sfew_is_refused() {
    let classes = Classes::standard();
    let refused = |set: &tempfile::TempDir| refusal(read("sfew", &ReadRequest::new(set.path(), &classes)), set.path());
    let frames = folder(&[("Train/Angry/Airheads_000519240_00000005.png", png(3))]);
    let unknown = folder(&[("Train_Aligned_Faces/Sleepy/a.png", png(3)), ("Train_Aligned_Faces/Happy/a.png", png(3))]);
    insta::assert_snapshot!([&frames, &unknown].map(refused).join("\n"));
}
