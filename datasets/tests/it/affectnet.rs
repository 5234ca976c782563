//! AffectNet in its forms.

use image::ImageFormat;
use marginalia_datasets::{Classes, ReadRequest, encode_png, face_id, reader};
use proptest::prelude::*;

use crate::support::{encode, faces, folder, jpeg, npy, npy_letter, picture, read, refusal, rejects, skipped, write};

const HEADER: &str =
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal";

fn row(image: &str, bbox: &str, expression: u32) -> String {
    format!("{image},{bbox},181.64;530.91;188.32;627.82,{expression},-0.08,0.37")
}

/// The full release: one list with a header, one without.
pub fn full() -> tempfile::TempDir {
    let training: Vec<String> = [
        HEADER.to_owned(),
        row("689/a.jpg", "2,4,20,16", 0),
        row("689/a.jpg", "3,4,20,16", 9),
        row("689/b.PNG", "0,0,32,32", 1),
        row("12/c.jpg", "-3,20,40,40", 7),
        row("12/missing.jpg", "0,0,32,32", 2),
        row("12/c.jpg", "40,0,10,10", 3),
    ]
    .into();
    let validation = [row("689/b.PNG", "4,4,8,12", 6), row("12/c.jpg", "0,0,32,32", 10)];
    folder(&[
        ("Manually_Annotated_file_lists/training.csv", training.join("\n").into()),
        ("Manually_Annotated_file_lists/validation.csv", validation.join("\r\n").into()),
        ("Manually_Annotated_Images/689/a.jpg", jpeg(1)),
        // Not all of the images are what their names say.
        ("Manually_Annotated_Images/689/b.PNG", jpeg(2)),
        ("Manually_Annotated_Images/12/c.jpg", encode(&picture(3, 32, 32), ImageFormat::Png)),
    ])
}

/// The reduced release.
pub fn reduced() -> tempfile::TempDir {
    folder(&[
        ("train_set/images/0.jpg", jpeg(1)),
        ("train_set/images/1.jpg", jpeg(2)),
        ("train_set/images/2.jpg", jpeg(3)),
        ("train_set/images/10.jpg", jpeg(4)),
        ("train_set/images/11.jpg", jpeg(5)),
        ("train_set/annotations/0_exp.npy", npy_letter('1')),
        ("train_set/annotations/0_val.npy", npy("<f8", "()", &0.5f64.to_le_bytes())),
        ("train_set/annotations/0_lnd.npy", npy("<f8", "(136,)", &[0; 8 * 136])),
        ("train_set/annotations/2_exp.npy", npy("<i8", "(1,)", &7i64.to_le_bytes())),
        ("train_set/annotations/10_exp.npy", npy("<U2", "()", &[[0x31, 0, 0, 0], [0x32, 0, 0, 0]].concat())),
        ("train_set/annotations/11_exp.npy", b"\x93NUMPY\x01\x00v\x00{'descr'".to_vec()),
        ("val_set/images/0.jpg", jpeg(6)),
        ("val_set/annotations/0_exp.npy", npy("|S1", "()", b"4")),
    ])
}

#[test]
fn the_full_release_is_read_by_its_lists_with_or_without_a_header() {
    let set = full();
    let all = read("affectnet", &ReadRequest::new(set.path(), &Classes::with_contempt())).unwrap();
    assert_eq!(
        faces(&all),
        ["a.jpg neutral train -", "b.PNG happiness train -", "c.jpg contempt train -", "b.PNG anger validation -"]
    );
    assert_eq!(all.faces[0].bbox, Some([2, 4, 20, 16]));
    assert_eq!(all.faces[0].source_hash, Some(face_id(&jpeg(1))));
    assert_eq!((all.faces[1].bbox, &all.faces[1].image), (None, &jpeg(2)));
    // Boxes reach out of images.
    assert_eq!(all.faces[2].bbox, Some([0, 20, 32, 12]));
    assert_eq!(all.faces[2].image, encode_png(&picture(3, 32, 32).crop_imm(0, 20, 32, 12)));
    assert_eq!(skipped(&all), ["a.jpg: affectnet marks it as `uncertain`", "c.jpg: affectnet marks it as `no face`"]);
    assert_eq!(
        rejects(&all),
        [
            "missing.jpg: the file cannot be read: no such file",
            "c.jpg: the box [40, 0, 10, 10] (x, y, width, height) holds nothing of the image of 32×32 pixels",
        ]
    );
    // Seven classes: contempt is left out.
    let seven = read("affectnet", &ReadRequest::new(set.path(), &Classes::standard())).unwrap();
    assert_eq!(seven.faces.len(), 3);
    assert!(skipped(&seven).contains(&"c.jpg: `contempt` is not one of the classes here".to_owned()));
}

#[test]
fn rows_that_do_not_work_are_told_by_their_line_in_the_file() {
    let set = full();
    let list = "Manually_Annotated_file_lists/validation.csv";
    write(
        set.path(),
        list,
        format!("{}\n{}\n", row("689/b.PNG", "4,4,8,12", 6), row("689/a.jpg", "a,4,8,12", 6)).as_bytes(),
    );
    write(
        set.path(),
        "Manually_Annotated_file_lists/training.csv",
        format!("{HEADER}\n{}\n", row("../x.jpg", "0,0,9,9", 1)).as_bytes(),
    );
    let all = read("affectnet", &ReadRequest::new(set.path(), &Classes::standard())).unwrap();
    assert_eq!(
        rejects(&all),
        [
            "x.jpg: the path leaves the folder of its table",
            "validation.csv#line=2: the row does not work: the box needs numbers for x, y, width and height, not `a, 4, 8, 12`",
        ]
    );
}

#[test]
fn a_face_that_a_list_has_twice_is_read_once_or_not_at_all() {
    let set = full();
    let list = "Manually_Annotated_file_lists/training.csv";
    let rows = [
        row("689/a.jpg", "2,4,20,16", 0),
        row("689/b.PNG", "0,0,32,32", 1),
        row("689/a.jpg", "2,4,20,16", 0),
        row("689/b.PNG", "0,0,32,32", 4),
        row("689/b.PNG", "0,0,16,16", 4),
    ];
    write(set.path(), list, rows.join("\n").as_bytes());
    let classes = Classes::standard();
    let all = read("affectnet", &ReadRequest::new(set.path(), &classes)).unwrap();
    assert_eq!(faces(&all), ["a.jpg neutral train -", "b.PNG fear train -", "b.PNG anger validation -"]);
    let line = |number| format!("{}#line={number}", set.path().join(list).display());
    assert_eq!(
        rejects(&all),
        [format!(
            "b.PNG: the image has no label that can be read: its labels disagree, `1` in {} and `4` in {}; keep the one \
             that is right",
            line(2),
            line(4)
        )]
    );
    assert_eq!(
        skipped(&all),
        ["c.jpg: affectnet marks it as `no face`", "training.csv#line=3: the same face stands in the list before"]
    );
}

#[test]
fn the_reduced_release_has_a_label_file_for_each_image() {
    let set = reduced();
    for path in [set.path().to_owned(), set.path().join("train_set")] {
        let all = read("affectnet", &ReadRequest::new(&path, &Classes::with_contempt())).unwrap();
        let train = ["0.jpg happiness train -", "2.jpg contempt train -"];
        assert_eq!(faces(&all)[..2], train);
        assert_eq!(all.faces.len(), if path == set.path() { 3 } else { 2 });
        assert_eq!(
            all.faces.get(2).map(|face| face.given_class.as_deref()),
            (path == set.path()).then_some(Some("fear"))
        );
        assert_eq!(
            rejects(&all),
            [
                "1.jpg: the image has no label that can be read: annotations/1_exp.npy: the file cannot be read: no such file",
                "10.jpg: the image has no label that can be read: label 12 in annotations/10_exp.npy does not exist in the \
                 class map `affectnet`, which knows 0 to 10",
                "11.jpg: the image has no label that can be read: annotations/11_exp.npy: the .npy file is cut off",
            ]
        );
        assert!(all.skipped.is_empty());
    }
    let classes = Classes::standard();
    let unlabelled = ReadRequest { unlabelled: true, ..ReadRequest::new(set.path(), &classes) };
    assert_eq!(read("affectnet", &unlabelled).unwrap().faces.len(), 6);
}

#[test]
fn every_type_that_copies_store_labels_in_is_understood() {
    let classes = Classes::with_contempt();
    let label = |file: Vec<u8>| {
        let set = folder(&[("val_set/images/5.jpg", jpeg(1)), ("val_set/annotations/5_exp.npy", file)]);
        let all = read("affectnet", &ReadRequest::new(set.path(), &classes)).unwrap();
        all.faces.first().and_then(|face| face.given_class.clone()).ok_or_else(|| rejects(&all).join(""))
    };
    let three: [(&str, &[u8]); 8] = [
        ("<U1", &[0x33, 0, 0, 0]),
        (">U1", &[0, 0, 0, 0x33]),
        ("|S1", b"3"),
        ("<i8", &3i64.to_le_bytes()),
        (">i4", &3i32.to_be_bytes()),
        ("|u1", &[3]),
        ("<f4", &3f32.to_le_bytes()),
        (">f8", &3f64.to_be_bytes()),
    ];
    for (kind, bytes) in three {
        for shape in ["()", "(1,)"] {
            assert_eq!(label(npy(kind, shape, bytes)).as_deref(), Ok("surprise"), "{kind} {shape}");
        }
    }
    for file in [npy("<U1", "()", &[]), npy("<c8", "()", &[0; 8]), npy("<i8", "(2,)", &[0; 16]), b"3".to_vec(), vec![]]
    {
        assert!(label(file.clone()).is_err(), "{file:?}");
    }
    let negative = label(npy("<i2", "()", &(-1i16).to_le_bytes())).unwrap_err();
    assert!(negative.contains("label -1"), "{negative}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever lies where a label should be costs its image at most.
    #[test]
    fn damaged_labels_are_rejects(has_header: bool, at in 0usize..200, bytes: [u8; 24], count in 0usize..24) {
        let mut file = if has_header { npy_letter('3') } else { Vec::new() };
        let bytes = bytes[..count].to_vec();
        let at = at % (file.len() + 1);
        file.splice(at..(at + bytes.len()).min(file.len()), bytes);
        let set = folder(&[("val_set/images/5.jpg", jpeg(1)), ("val_set/annotations/5_exp.npy", file)]);
        let all = read("affectnet", &ReadRequest::new(set.path(), &Classes::with_contempt())).unwrap();
        prop_assert_eq!(all.faces.len() + all.rejects.len() + all.skipped.len(), 1);
    }
}

#[test]
fn copies_in_numbered_folders_count_from_zero() {
    let set = folder(&[
        ("train/0/image0000006.jpg", jpeg(1)),
        ("train/7/image0000007.jpg", jpeg(2)),
        ("val/4/image0000008.jpg", jpeg(3)),
    ]);
    let all = read("affectnet", &ReadRequest::new(set.path(), &Classes::standard())).unwrap();
    assert_eq!(faces(&all), ["image0000006.jpg neutral train -", "image0000008.jpg fear validation -"]);
    assert_eq!(skipped(&all), ["image0000007.jpg: `contempt` is not one of the classes here"]);
}

#[test]
fn a_machines_labels_are_never_read() {
    let set = full();
    let list = "Automatically_Annotated_file_lists/automatically_annotated.csv";
    write(set.path(), list, format!("{HEADER}\n{}\n", row("1/x.jpg", "0,0,9,9", 1)).as_bytes());
    let all = read("affectnet", &ReadRequest::new(set.path(), &Classes::standard())).unwrap();
    assert_eq!(all.faces.len(), 3);
    assert!(skipped(&all)[0].starts_with("Automatically_Annotated_file_lists: these are AffectNet's automatically"));
    let refused = |set: &tempfile::TempDir| {
        refusal(read("affectnet", &ReadRequest::new(set.path(), &Classes::standard())), set.path())
    };
    let automatic = folder(&[(list, HEADER.into())]);
    let unknown = folder(&[
        ("Manually_Annotated_file_lists/training.csv", row("1/x.jpg", "0,0,9,9", 11).into()),
        ("Manually_Annotated_Images/1/x.jpg", jpeg(1)),
    ]);
    let without_images = folder(&[("Manually_Annotated_file_lists/training.csv", HEADER.into())]);
    let numbered = folder(&[("train/8/1.jpg", jpeg(1)), ("train/11/1.jpg", jpeg(1))]);
    let other = folder(&[("train/happy/1.jpg", jpeg(1))]);
    let messages = [&automatic, &unknown, &without_images, &numbered, &other].map(refused);
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn the_published_counts_add_up() {
    let known = reader("affectnet").unwrap().known_counts();
    let sum = |part: &str| known.iter().filter(|count| count.part == part).map(|count| count.count).sum::<usize>();
    assert_eq!((sum("manually annotated training set"), sum("validation set")), (287_651, 4000));
}
