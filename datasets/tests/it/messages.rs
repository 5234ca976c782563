//! What people read, word for word.

use std::path::Path;

use marginalia_datasets::{
    ClassMap, Classes, Error, Format, HoldOut, LabelBudget, ReadRequest, Reason, Reject, Split, reader, readers,
};

use crate::support::{folder, jpeg, read};

#[test]
fn errors_say_what_to_do() {
    let classes = Classes::standard();
    let folder = folder(&[("sleepy/1.jpg", jpeg(1))]);
    let place = folder.path().display().to_string();
    let raf = Some(ClassMap::named("raf-db").unwrap());
    let numbered = crate::support::folder(&[("9/1.jpg", jpeg(1))]);
    let numbered_place = numbered.path().display().to_string();
    let table = crate::support::folder(&[("a.csv", "name;age\nx;1\n".into())]);
    let table_place = table.path().display().to_string();
    let errors: Vec<Error> = vec![
        Classes::new(["anger", "angry"]).unwrap_err(),
        classes.resolve("joyous").unwrap_err(),
        classes.resolve("contempt").unwrap_err(),
        classes.resolve("4").unwrap_err(),
        read("imagefolder", &ReadRequest::new(folder.path(), &classes)).unwrap_err(),
        read("imagefolder", &ReadRequest::new(numbered.path(), &classes)).unwrap_err(),
        read("imagefolder", &ReadRequest { class_map: raf, ..ReadRequest::new(numbered.path(), &classes) })
            .unwrap_err(),
        ClassMap::named("mnist").unwrap_err(),
        reader("coco").map(|_| ()).unwrap_err(),
        "holdout".parse::<Split>().unwrap_err(),
        "many".parse::<LabelBudget>().unwrap_err(),
        "validation:200%".parse::<HoldOut>().unwrap_err(),
        LabelBudget::PerClass(25).per_class(&classes, &[30, 30, 30, 30, 30, 7, 30]).unwrap_err(),
        LabelBudget::Total(100).per_class(&classes, &[5; 7]).unwrap_err(),
        read("manifest", &ReadRequest::new(&table.path().join("a.csv"), &classes)).unwrap_err(),
        read("manifest", &ReadRequest::new(table.path(), &classes)).unwrap_err(),
        read("imagefolder", &ReadRequest::new(Path::new("/no/such/folder"), &classes)).unwrap_err(),
    ];
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let mut text = text.join("\n");
    for place in [place, numbered_place, table_place] {
        text = text.replace(&place, "FOLDER");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn reasons_say_why() {
    let format = Format::Jpeg;
    let reasons = [
        Reason::Empty,
        Reason::TooManyBytes { bytes: 50_000_000, limit: 33_554_432 },
        Reason::NotAnImage,
        Reason::UnsupportedFormat { format: "GIF".to_owned() },
        Reason::Truncated { format },
        Reason::Corrupt { format: Format::Png, detail: "bad checksum".to_owned() },
        Reason::TooLarge { width: 30_000, height: 30_000, limit: 8192 },
        Reason::TooManyDecodedBytes { bytes: 500_000_000, limit: 268_435_456 },
        Reason::DecoderFailed { format: Format::WebP },
        Reason::TiffNotConverted { detail: "compression 7 is not supported".to_owned() },
        Reason::Unreadable { detail: "permission denied".to_owned() },
        Reason::NotAFile,
        Reason::Changed,
        Reason::InvalidName { detail: "no person".to_owned() },
        Reason::NoLabel { detail: "no such file".to_owned() },
        Reason::InvalidRow { detail: "2303 pixels instead of 2304".to_owned() },
        Reason::OutsideFolder,
        Reason::InvalidBox { bbox: [-5, 0, 3, 3], width: 48, height: 48 },
    ];
    let text: Vec<String> = reasons.iter().map(|reason| format!("{}: {reason}", reason.code())).collect();
    insta::assert_snapshot!(text.join("\n"));
    let reject = Reject { source: "faces/1.jpg".to_owned(), reason: Reason::Empty };
    assert_eq!(reject.to_string(), "faces/1.jpg: the file is empty");
}

#[test]
fn formats_and_class_maps_introduce_themselves() {
    let formats = readers().iter().map(|reader| format!("{}: {}", reader.name(), reader.about()));
    let maps = ClassMap::all().iter().map(|map| format!("{}: {}", map.name(), map.about()));
    insta::assert_snapshot!(formats.chain(maps).collect::<Vec<_>>().join("\n"));
}

#[test]
fn names_of_formats_are_distinct() {
    let mut names: Vec<&str> = readers().iter().map(|reader| reader.name()).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
    assert_eq!(reader("FER2013").unwrap().name(), "fer2013");
}
