//! FER2013 in its forms.

use image::{DynamicImage, GrayImage};
use marginalia_datasets::{Classes, Error, ReadRequest, Split, encode_png};

use crate::support::{folder, jpeg, read, write};

fn pixels(start: u32) -> String {
    (0..2304).map(|i| ((i + start) % 256).to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn rows_become_grey_pngs() {
    let csv = format!(
        "emotion,pixels,Usage\n0,{},Training\n3,{},PublicTest\n6,{},PrivateTest\n",
        pixels(0),
        pixels(1),
        pixels(2)
    );
    let folder = folder(&[("fer2013.csv", csv.into())]);
    let (path, classes) = (folder.path().join("fer2013.csv"), Classes::standard());
    let all = read("fer2013", &ReadRequest::new(&path, &classes)).unwrap();
    assert_eq!(
        all.summary(),
        ["fer2013.csv#row=0 anger train", "fer2013.csv#row=1 happiness test", "fer2013.csv#row=2 neutral test"]
    );
    let wanted = GrayImage::from_fn(48, 48, |x, y| image::Luma([((x + 48 * y + 1) % 256) as u8]));
    assert_eq!(all.faces[1].image, encode_png(&DynamicImage::ImageLuma8(wanted)));
    assert_eq!(all.faces[1].source_hash, Some(blake3::hash(pixels(1).as_bytes()).to_hex().to_string()));
    assert_eq!(all.faces[1].dataset, "fer2013");
    // The same from the folder that holds it, and with a split of one's own.
    let request = ReadRequest { split: Some(Split::Validation), ..ReadRequest::new(folder.path(), &classes) };
    let again = read("fer2013", &request).unwrap();
    assert_eq!(again.faces[1].image, all.faces[1].image);
    assert_eq!(again.faces[1].split, Some(Split::Validation));
}

#[test]
fn columns_are_found_by_their_trimmed_names() {
    let csv = format!("emotion, Usage, pixels\r\n4,Training,{}\r\n", pixels(0));
    let folder = folder(&[("icml_face_data.csv", csv.into())]);
    let (path, classes) = (folder.path().join("icml_face_data.csv"), Classes::standard());
    let all = read("fer2013", &ReadRequest::new(&path, &classes)).unwrap();
    assert_eq!(all.summary(), ["icml_face_data.csv#row=0 sadness train"]);
}

#[test]
fn the_challenges_own_files_say_split_by_name_and_may_lack_labels() {
    let folder = folder(&[
        ("train.csv", format!("emotion,pixels\n5,{}\n", pixels(0)).into()),
        ("test.csv", format!("pixels\n{}\n", pixels(1)).into()),
        ("fer2013new.csv", "Usage,Image name,neutral\nTraining,fer0000000.png,10\n".into()),
    ]);
    let classes = Classes::standard();
    let all = read("fer2013", &ReadRequest::new(folder.path(), &classes)).unwrap();
    assert_eq!(all.summary(), ["test.csv#row=0 - test", "train.csv#row=0 surprise train"]);
    assert_eq!(all.skipped[0].1, "a table without a column `pixels`");
}

#[test]
fn bad_rows_are_rejects_and_the_rest_goes_on() {
    let short = &pixels(0)[..400];
    let (good, nan, large) = (pixels(0), pixels(0).replacen("7", "NaN", 1), pixels(0).replacen("7", "256", 1));
    let rows = [
        format!("0,{short},Training"),
        format!("0,{good} 1,Training"),
        format!("0,{nan},Training"),
        format!("0,{large},Training"),
        format!("0,{},Training", good.replacen('7', "-7", 1)),
        format!("9,{good},Training"),
        format!("0,{good},Sometime"),
        "0".to_owned(),
        format!("0,{good},Training"),
    ];
    let folder = folder(&[("fer2013.csv", format!("emotion,pixels,Usage\n{}\n", rows.join("\n")).into())]);
    let classes = Classes::standard();
    let all = read("fer2013", &ReadRequest::new(folder.path(), &classes)).unwrap();
    assert_eq!(all.summary(), ["fer2013.csv#row=8 anger train"]);
    assert_eq!(all.rejects.len(), 8);
    assert!(all.rejects.iter().all(|reject| reject.code() == "invalid_row"));
}

#[test]
fn in_folders_the_file_name_tells_the_parts_apart() {
    let folder = folder(&[
        ("train/angry/Training_1.jpg", jpeg(1)),
        ("test/happy/PublicTest_2.jpg", jpeg(2)),
        ("test/happy/PrivateTest_3.jpg", jpeg(3)),
        ("sad/Training_4.jpg", jpeg(4)),
        ("sad/5.jpg", jpeg(5)),
        ("test/sad/6.jpg", jpeg(6)),
    ]);
    let classes = Classes::standard();
    let all = read("fer2013", &ReadRequest::new(folder.path(), &classes)).unwrap();
    assert_eq!(
        all.summary(),
        [
            "5.jpg sadness train",
            "Training_4.jpg sadness train",
            "PrivateTest_3.jpg happiness test",
            "PublicTest_2.jpg happiness test",
            "6.jpg sadness test",
            "Training_1.jpg anger train",
        ]
    );
    write(folder.path(), "train/grumpy/Training_9.jpg", &jpeg(9));
    let error = read("fer2013", &ReadRequest::new(folder.path(), &classes)).unwrap_err();
    assert!(matches!(error, Error::UnknownClass { .. }), "{error}");
}

#[test]
fn another_table_is_an_error() {
    let folder = folder(&[("a.csv", "emotion,Usage\n1,Training\n".into()), ("a.jpg", jpeg(1))]);
    let classes = Classes::standard();
    let error = |name: &str| read("fer2013", &ReadRequest::new(&folder.path().join(name), &classes)).unwrap_err();
    assert!(matches!(error("a.csv"), Error::MissingColumn { .. }));
    assert!(matches!(error("a.jpg"), Error::NotADataset { .. }));
}
