//! ExpW.

use image::ImageFormat;
use marginalia_datasets::{Classes, ReadRequest, encode_png, face_id, reader};

use crate::support::{encode, faces, folder, jpeg, picture, read, read_with, refusal, rejects, skipped, write};

const LIST: &str = "scene_1.jpg 0 5 10 30 40 62.9422 3\n\
    scene_1.jpg 1 8 30 50 70 20.5 4\n\
    scene_1.jpg 0 5 10 30 40 62.9422 3\n\
    alone.jpg 0 0 0 32 32 50.1 6\n\
    alone.jpg 0 60 60 90 90 50.1 6\n\
    missing.jpg 0 5 10 30 40 62.9422 0\n\
    scene_1.jpg 0 5 10 x 40 62.9422 3\n\
    scene_1.jpg 0 5 10\n\
    ../scene_1.jpg 0 5 10 30 40 62.9422 3\n";

fn scene() -> image::DynamicImage {
    picture(5, 60, 40)
}

pub fn scenes() -> tempfile::TempDir {
    folder(&[
        ("label/label.lst", LIST.into()),
        ("image/origin/scene_1.jpg", encode(&scene(), ImageFormat::Png)),
        ("image/origin/alone.jpg", jpeg(2)),
        ("image/origin/other.jpg", jpeg(3)),
        ("image/origin/._alone.jpg", b"Mac OS X".to_vec()),
        ("readme.txt", b"words".to_vec()),
    ])
}

#[test]
fn boxes_go_top_left_right_bottom_and_each_is_a_face() {
    let (set, classes) = (scenes(), Classes::standard());
    let all = read("expw", &ReadRequest::new(set.path(), &classes)).unwrap();
    assert_eq!(faces(&all), ["alone.jpg neutral - -", "scene_1.jpg happiness - -", "scene_1.jpg sadness - -"]);
    let [alone, first, second] = &all.faces[..] else { panic!("{all:?}") };
    // Rows 5 to 40, columns 10 to 30.
    assert_eq!(first.bbox, Some([10, 5, 20, 35]));
    assert_eq!(first.image, encode_png(&scene().crop_imm(10, 5, 20, 35)));
    assert_eq!(first.source_hash, Some(face_id(&encode(&scene(), ImageFormat::Png))));
    // Rows 8 to 70 of an image with 40.
    assert_eq!(second.bbox, Some([30, 8, 20, 32]));
    assert_eq!((alone.bbox, &alone.image), (None, &jpeg(2)));
    assert_eq!(
        rejects(&all),
        [
            "label.lst#line=7: the row does not work: `x` is no number of a box",
            "label.lst#line=8: the row does not work: 4 fields instead of 8",
            "label.lst#line=9: the row does not work: `../scene_1.jpg` is no plain file name",
            "alone.jpg: the box [60, 60, 30, 30] (x, y, width, height) holds nothing of the image of 32×32 pixels",
            "missing.jpg: the file cannot be read: no such file",
        ]
    );
    assert_eq!(
        skipped(&all),
        [
            "._alone.jpg: a hidden file",
            "label.lst#line=3: the same face stands in the list before",
            "other.jpg: not listed in label.lst",
        ]
    );
}

#[test]
fn a_face_that_the_list_gives_two_classes_has_none() {
    let (set, classes) = (scenes(), Classes::standard());
    let list =
        "scene_1.jpg 0 5 10 30 40 62.9422 3\nscene_1.jpg 1 8 30 50 70 20.5 4\nscene_1.jpg 0 5 10 30 40 62.9422 6\n";
    write(set.path(), "label/label.lst", list.as_bytes());
    let all = read("expw", &ReadRequest::new(set.path(), &classes)).unwrap();
    assert_eq!(faces(&all), ["scene_1.jpg sadness - -"]);
    let line = |number| format!("{}/label/label.lst#line={number}", set.path().display());
    let (first, third) = (line(1), line(3));
    let why = format!("its labels disagree, `3` in {first} and `6` in {third}; keep the one that is right");
    assert_eq!(rejects(&all), [format!("scene_1.jpg: the image has no label that can be read: {why}")]);
}

#[test]
fn faces_that_the_detector_was_not_sure_of_are_left_out_by_choice() {
    let (set, classes) = (scenes(), Classes::standard());
    let all = read_with("expw", set.path(), &classes, &["min-confidence=50.5"]).unwrap();
    assert_eq!(faces(&all), ["scene_1.jpg happiness - -"]);
    assert!(skipped(&all).contains(&"label.lst#line=2: the box has a confidence of 20.5, less than 50.5".to_owned()));
}

#[test]
fn what_cannot_be_understood_is_refused() {
    let classes = Classes::standard();
    let refused = |set: &tempfile::TempDir| refusal(read("expw", &ReadRequest::new(set.path(), &classes)), set.path());
    let label = folder(&[("label/label.lst", "a.jpg 0 1 2 3 4 5.5 7\n".into()), ("image/origin/a.jpg", jpeg(1))]);
    let without_images = folder(&[("label/label.lst", LIST.into())]);
    let without_list = folder(&[("image/origin/a.jpg", jpeg(1))]);
    insta::assert_snapshot!([&label, &without_images, &without_list].map(refused).join("\n"));
}

#[test]
fn the_published_counts_add_up() {
    assert_eq!(reader("expw").unwrap().known_counts().iter().map(|count| count.count).sum::<usize>(), 91_793);
}
