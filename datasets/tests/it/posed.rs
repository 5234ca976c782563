//! Sets of posed photographs, which say everything in their names: KDEF and JAFFE.

use image::ImageFormat;
use marginalia_datasets::{Classes, ReadRequest, reader};

use crate::support::{encode, faces, folder, jpeg, palette_tiff, picture, read, read_with, refusal, rejects, skipped};

pub fn kdef() -> tempfile::TempDir {
    folder(&[
        // The session and sex at the front are no expression.
        ("KDEF/AF01/AF01AFS.JPG", jpeg(1)),
        ("KDEF/AF01/AF01ANFL.JPG", jpeg(2)),
        ("KDEF/AF01/AF01NEHR.JPG", jpeg(3)),
        ("KDEF/BF01/BF01SUS.JPG", jpeg(4)),
        ("KDEF/BM35/bm35has.jpg", jpeg(5)),
        ("KDEF/BM35/BM35.JPG", jpeg(6)),
        ("KDEF/BM35/BM35XXS.JPG", jpeg(7)),
        ("KDEF/.DS_Store", b"Bud1".to_vec()),
        ("KDEF/readme.txt", b"words".to_vec()),
    ])
}

pub fn jaffe() -> tempfile::TempDir {
    let grey = image::DynamicImage::ImageLuma8(picture(1, 256, 256).to_luma8());
    let palette = std::array::from_fn(|i| [i as u8; 3]);
    folder(&[
        ("jaffe/KA.AN1.39.tiff", encode(&grey, ImageFormat::Tiff)),
        ("jaffe/YM.FE2.68.tiff", palette_tiff(&palette, false)),
        ("jaffe/KA.NE3.28.tiff", encode(&grey, ImageFormat::Tiff)[..900].to_vec()),
        ("jaffe/KA.XX3.28.tiff", encode(&grey, ImageFormat::Tiff)),
        ("jaffe/.DS_Store", b"Bud1".to_vec()),
        ("jaffe/._KA.AN1.39.tiff", b"Mac OS X".to_vec()),
        ("jaffe/README", b"words".to_vec()),
    ])
}

#[test]
fn kdefs_names_are_read_from_the_front() {
    let (set, classes) = (kdef(), Classes::standard());
    let all = read("kdef", &ReadRequest::new(set.path(), &classes)).unwrap();
    assert_eq!(
        faces(&all),
        [
            "AF01AFS.JPG fear - F01",
            "AF01ANFL.JPG anger - F01",
            "AF01NEHR.JPG neutral - F01",
            "BF01SUS.JPG surprise - F01",
            "bm35has.jpg happiness - M35",
        ]
    );
    let why = "the file name does not say what the face shows: KDEF's names are session, sex and number, expression and angle, AF01ANS";
    assert_eq!(rejects(&all), [format!("BM35.JPG: {why}"), format!("BM35XXS.JPG: {why}")]);
    let frontal = read_with("kdef", set.path(), &classes, &["angle=frontal"]).unwrap();
    assert_eq!(frontal.faces.len(), 3);
    assert_eq!(
        skipped(&frontal),
        [
            ".DS_Store: a hidden file",
            "AF01ANFL.JPG: the angle FL is not asked for",
            "AF01NEHR.JPG: the angle HR is not asked for",
        ]
    );
    assert_eq!(read_with("kdef", set.path(), &classes, &["angle=half"]).unwrap().faces.len(), 4);
    assert_eq!(reader("kdef").unwrap().known_counts().iter().map(|count| count.count).sum::<usize>(), 4900);
}

#[test]
fn jaffes_tiffs_become_pngs() {
    let (set, classes) = (jaffe(), Classes::standard());
    let all = read("jaffe", &ReadRequest::new(set.path(), &classes)).unwrap();
    assert_eq!(faces(&all), ["KA.AN1.39.tiff anger - KA", "YM.FE2.68.tiff fear - YM"]);
    assert!(all.faces.iter().all(|face| face.image.starts_with(b"\x89PNG")));
    let codes: Vec<&str> = all.rejects.iter().map(|reject| reject.code()).collect();
    assert_eq!(codes, ["tiff_not_converted", "invalid_name"]);
    assert_eq!(skipped(&all).len(), 2);
    assert_eq!(reader("jaffe").unwrap().known_counts().iter().map(|count| count.count).sum::<usize>(), 213);
}

#[test]
fn a_single_photograph_is_no_data_set() {
    let classes = Classes::standard();
    let refused = |format, set: &tempfile::TempDir, file: &str| {
        refusal(read(format, &ReadRequest::new(&set.path().join(file), &classes)), set.path())
    };
    let (kdef, jaffe) = (kdef(), jaffe());
    let messages = [refused("kdef", &kdef, "KDEF/AF01/AF01AFS.JPG"), refused("jaffe", &jaffe, "jaffe/KA.AN1.39.tiff")];
    insta::assert_snapshot!(messages.join("\n"));
}
