//! Tables that list images.

use std::path::Path;

use image::{DynamicImage, ImageFormat};
use marginalia_datasets::{ClassMap, Classes, Error, ReadRequest, Split, decode, encode_png, face_id};

use crate::support::{Read, encode, folder, jpeg, picture, png, read, rejects, skipped, write};

fn read_table(table: &Path) -> marginalia_datasets::Result<Read> {
    read("manifest", &ReadRequest::new(table, &Classes::standard()))
}

#[test]
fn the_same_rows_in_every_dialect() {
    let folder = folder(&[("images/1.jpg", jpeg(1)), ("images/a, b.jpg", jpeg(2))]);
    let tables: [(&str, &str); 6] = [
        ("plain.csv", "path,label,split\nimages/1.jpg,happy,train\n\"images/a, b.jpg\",sad,test\n"),
        ("other.csv", "Emotion;File_Name;Usage\r\nHappy;images/1.jpg;Training\r\nSAD;images/a, b.jpg;PublicTest\r\n"),
        ("tabs.tsv", "class\timage\tsplit\nhappiness\timages/1.jpg\ttrain\nsadness\timages/a, b.jpg\teval\n"),
        (
            "bom.csv",
            "\u{FEFF}filename , expression , partition\n images/1.jpg , happy , train\n\"images/a, b.jpg\",sad,test",
        ),
        ("windows.csv", "path,label,split\nimages\\1.jpg,happy,train\n\"images\\a, b.jpg\",sad,test\n"),
        (
            "lines.jsonl",
            "{\"path\":\"images/1.jpg\",\"label\":\"happy\",\"split\":\"train\"}\n{\"path\":\"images/a, b.jpg\",\"label\":\"sad\",\"split\":\"test\"}",
        ),
    ];
    for (name, text) in tables {
        write(folder.path(), name, text.as_bytes());
        let all = read_table(&folder.path().join(name)).unwrap();
        assert_eq!(all.summary(), ["1.jpg happiness train", "a, b.jpg sadness test"], "{name}");
        assert_eq!(all.faces[0].image, jpeg(1));
        assert_eq!(all.faces[0].dataset, name.split('.').next().unwrap());
    }
}

#[test]
fn a_folder_with_a_manifest_will_do() {
    let folder = folder(&[("manifest.csv", "path,annotator\n1.jpg,anna\n".into()), ("1.jpg", jpeg(1))]);
    let all = read_table(folder.path()).unwrap();
    assert_eq!(all.summary(), ["1.jpg - -"]);
    assert_eq!(all.faces[0].annotator.as_deref(), Some("anna"));
}

#[test]
fn bad_rows_are_rejects_and_the_rest_goes_on() {
    let rows = "path,label,split,x,y,width,height\n\
        1.jpg,happy,someday,,,,\n\
        ,happy,train,,,,\n\
        2.jpg,happy,train,,,,\n\
        1.jpg,happy,train,a,0,5,5\n\
        1.jpg,happy,train,NaN,0,5,5\n\
        1.jpg,happy,train,1,2,,4\n\
        1.jpg,happy,train,32,0,5,5\n\
        1.jpg,happy,train,0,0,0,5\n\
        text.jpg,happy,train,0,0,5,5\n\
        1.jpg,happy,train,,,,\n";
    let folder = folder(&[("table.csv", rows.into()), ("1.jpg", jpeg(1)), ("text.jpg", b"words".to_vec())]);
    let all = read_table(&folder.path().join("table.csv")).unwrap();
    assert_eq!(all.summary(), ["1.jpg happiness train"]);
    let codes: Vec<&str> = all.rejects.iter().map(|reject| reject.code()).collect();
    let row = "invalid_row";
    assert_eq!(codes, [row, row, "unreadable", row, row, row, "invalid_box", "invalid_box", "not_an_image"]);
    assert!(all.rejects[1].source.ends_with("table.csv#line=3"), "{}", all.rejects[1].source);
}

#[test]
fn a_face_that_is_listed_twice_is_read_once_or_not_at_all() {
    let rows = "path,label,annotator,x,y,width,height\n\
        a.jpg,happy,anna,,,,\n\
        a.jpg,sad,ben,,,,\n\
        a.jpg,happy,anna,,,,\n\
        b.jpg,fear,,,,,\n\
        a.jpg,anger,,0,0,16,16\n\
        b.jpg,sad,,,,,\n\
        c.jpg,fear,,,,,\n\
        c.jpg,AFRAID,,,,,\n\
        b.jpg,afraid,,,,,\n";
    let folder = folder(&[("table.csv", rows.into()), ("a.jpg", jpeg(1)), ("b.jpg", jpeg(2)), ("c.jpg", jpeg(3))]);
    let (table, classes) = (folder.path().join("table.csv"), Classes::standard());
    let all = read_table(&table).unwrap();
    // Two people may differ, and a box is another face.
    assert_eq!(all.summary(), ["a.jpg happiness -", "a.jpg sadness -", "a.jpg anger -", "c.jpg fear -"]);
    let annotators: Vec<Option<&str>> = all.faces.iter().map(|face| face.annotator.as_deref()).collect();
    assert_eq!(annotators, [Some("anna"), Some("ben"), None, None]);
    let line = |number| format!("{}#line={number}", table.display());
    assert_eq!(
        rejects(&all),
        [format!(
            "b.jpg: the image has no label that can be read: its labels disagree, `fear` in {} and `sad` in {}; keep the one \
             that is right",
            line(5),
            line(7)
        )]
    );
    let before = |number| format!("table.csv#line={number}: the same face stands in the list before");
    assert_eq!(skipped(&all), [before(10), before(4), before(9)]);
    // Where labels are not read nothing disagrees.
    let all = read("manifest", &ReadRequest { unlabelled: true, ..ReadRequest::new(&table, &classes) }).unwrap();
    assert_eq!((all.faces.len(), all.rejects.len(), all.skipped.len()), (5, 0, 4));
}

#[test]
fn no_row_reaches_outside_its_folder() {
    let outer = folder(&[("secret.jpg", jpeg(1)), ("inner/1.jpg", jpeg(2)), ("inner/sub/2.jpg", jpeg(3))]);
    let inner = outer.path().join("inner");
    let absolute = outer.path().join("secret.jpg");
    let allowed = inner.join("1.jpg");
    let rows = format!(
        "path\n../secret.jpg\n{}\nsub/../../secret.jpg\n..\\..\\secret.jpg\nsub/../1.jpg\n{}\n",
        absolute.display(),
        allowed.display()
    );
    write(&inner, "table.csv", rows.as_bytes());
    let all = read_table(&inner.join("table.csv")).unwrap();
    let codes: Vec<&str> = all.rejects.iter().map(|reject| reject.code()).collect();
    assert_eq!(codes, ["outside_folder"; 4]);
    assert_eq!(all.faces.len(), 2);
    assert!(all.faces.iter().all(|face| face.image == jpeg(2)));
}

#[cfg(unix)]
#[test]
fn links_out_of_the_folder_are_not_followed_by_rows() {
    let outside = folder(&[("secret.jpg", jpeg(1))]);
    let folder = folder(&[("table.csv", "path\nlink/secret.jpg\nlink.jpg\n".into())]);
    std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.jpg"), folder.path().join("link.jpg")).unwrap();
    let all = read_table(&folder.path().join("table.csv")).unwrap();
    assert!(all.faces.is_empty());
    assert!(all.rejects.iter().all(|reject| reject.code() == "outside_folder"));
}

#[test]
fn a_box_cuts_the_face_out() {
    let scene = picture(5, 60, 40);
    let file = encode(&scene, ImageFormat::Png);
    let rows = "path,label,x,y,width,height\n\
        scene.png,happy,10,5,20,30\n\
        scene.png,sad,50.4,-3,30,20\n\
        scene.png,anger,0,0,60,40\n";
    let folder = folder(&[("table.csv", rows.into()), ("scene.png", file.clone())]);
    let all = read_table(&folder.path().join("table.csv")).unwrap();
    let [first, clipped, whole] = &all.faces[..] else { panic!("three faces: {all:?}") };
    assert_eq!(first.image, encode_png(&scene.crop_imm(10, 5, 20, 30)));
    assert_eq!(first.bbox, Some([10, 5, 20, 30]));
    assert_eq!(first.source_hash, Some(face_id(&file)));
    assert_eq!(first.source, clipped.source);
    assert_eq!(clipped.bbox, Some([50, 0, 10, 17]));
    let pixels = decode(&clipped.image, &Default::default()).unwrap();
    assert_eq!(DynamicImage::ImageRgb8(pixels).to_rgb8(), scene.crop_imm(50, 0, 10, 17).to_rgb8());
    // A box around everything is no crop.
    assert_eq!((&whole.image, whole.bbox), (&file, None));
}

#[test]
fn affectnets_lists_are_read_with_its_class_map() {
    let rows = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal\n\
        689/a.png,4,4,20,20,1.0;2.0;3.0,1,0.1,0.2\n\
        689/a.png,5,4,20,20,1.0;2.0;3.0,10,-2,-2\n\
        689/a.png,6,4,20,20,1.0;2.0;3.0,7.0,-2,-2\n";
    let folder = folder(&[("training.csv", rows.into()), ("689/a.png", png(1))]);
    let (table, classes) = (folder.path().join("training.csv"), Classes::with_contempt());
    let request = ReadRequest::new(&table, &classes);
    assert!(matches!(read("manifest", &request), Err(Error::NumberAsClass { .. })));
    let class_map = Some(ClassMap::named("affectnet").unwrap());
    let all = read("manifest", &ReadRequest { class_map, split: Some(Split::Train), ..request }).unwrap();
    assert_eq!(all.summary(), ["a.png happiness train", "a.png contempt train"]);
    assert_eq!(all.skipped[0].1, "affectnet marks it as `no face`");
}

#[test]
fn tables_that_cannot_work_are_errors() {
    let folder = folder(&[("none.csv", "name,age\na,3\n".into()), ("empty.csv", Vec::new()), ("a.jpg", jpeg(1))]);
    let error = |name: &str| read_table(&folder.path().join(name)).unwrap_err();
    assert!(matches!(error("none.csv"), Error::MissingColumn { .. }));
    assert!(matches!(error("empty.csv"), Error::MissingColumn { .. }));
    assert!(matches!(error("a.jpg"), Error::NotADataset { .. }));
    assert!(matches!(error("missing.csv"), Error::Io { .. }));
    assert!(matches!(error("."), Error::NotADataset { .. }));
}
