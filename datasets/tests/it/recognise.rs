//! Which data set a path is.

use std::path::Path;

use marginalia_datasets::{Error, recognise};

use crate::support::{folder, jpeg, write};
use crate::{ck_plus, ferplus, miniatures, posed};

fn format_of(path: &Path) -> &'static str {
    recognise(path).unwrap_or_else(|error| panic!("{error}")).reader.name()
}

#[test]
fn every_set_is_recognised_for_a_reason() {
    let mut sets = miniatures::sets();
    sets.extend([
        ("fer2013", folder(&[("icml_face_data.csv", "emotion, Usage, pixels\n".into())])),
        ("fer2013", folder(&[("train/angry/Training_1.jpg", jpeg(1)), ("train/happy/Training_2.jpg", jpeg(1))])),
        ("label-studio", folder(&[("export.json", "[{\"id\":1,\"data\":{\"image\":\"a.jpg\"}}]".into())])),
        ("imagefolder", folder(&[("train/angry/1.jpg", jpeg(1)), ("train/happy/2.jpg", jpeg(1))])),
        ("imagefolder", folder(&[("metadata.csv", "file_name,label\n1.jpg,happy\n".into()), ("1.jpg", jpeg(1))])),
        ("manifest", folder(&[("manifest.csv", "path,label\n1.jpg,happy\n".into()), ("1.jpg", jpeg(1))])),
    ]);
    let mut lines = Vec::new();
    for (format, set) in &sets {
        let recognised = recognise(set.path()).unwrap_or_else(|error| panic!("{format}: {error}"));
        assert_eq!(recognised.reader.name(), *format);
        lines.push(format!("{recognised:?}"));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn archives_and_tables_are_recognised_too() {
    let tables = folder(&[
        ("faces.csv", "path;label\n1.jpg;happy\n".into()),
        ("pixels.csv", "emotion,pixels,Usage\n0,1 2,Training\n".into()),
        ("tasks.json", " [ {\"data\": {}}]".into()),
    ]);
    assert_eq!(format_of(&tables.path().join("faces.csv")), "manifest");
    assert_eq!(format_of(&tables.path().join("pixels.csv")), "fer2013");
    assert_eq!(format_of(&tables.path().join("tasks.json")), "label-studio");
    let archive = tables.path().join("set.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    tar.append_dir_all("jaffe", posed::jaffe().path()).unwrap();
    tar.finish().unwrap();
    assert_eq!(format_of(&archive), "jaffe");
}

#[test]
fn a_set_goes_before_a_general_layout_and_hidden_files_say_nothing() {
    let set = ck_plus::ck_48();
    write(set.path(), "happy/1.jpg", &jpeg(1));
    write(set.path(), "angry/.KA.AN1.39.tiff", &jpeg(1));
    write(set.path(), "__MACOSX/label/label.lst", b"a.jpg 0 1 2 3 4 5 6\n");
    assert_eq!(format_of(set.path()), "ck-plus");
}

#[test]
fn nothing_is_guessed() {
    let message = |set: &tempfile::TempDir| {
        let error = recognise(set.path()).expect_err("not recognised");
        error.to_string().replace(&set.path().display().to_string(), "FOLDER")
    };
    let numbers = message(&folder(&[("train/0/1.jpg", jpeg(1)), ("train/7/1.jpg", jpeg(1))]));
    insta::assert_snapshot!(numbers);
    // FER2013's pixels and FER+'s votes in one folder may be meant as either.
    insta::assert_snapshot!(message(&ferplus::rows()));
    for set in [folder(&[]), folder(&[("a.jpg", jpeg(1))]), folder(&[("joy/a.jpg", jpeg(1)), ("grief/a.jpg", jpeg(1))])]
    {
        assert!(matches!(recognise(set.path()), Err(Error::NotRecognised { .. })));
    }
    assert!(matches!(recognise(Path::new("/no/such/set")), Err(Error::Io { .. })));
}

/// A folder of many images is not looked through as a whole.
#[test]
fn lists_are_seen_behind_any_number_of_images() {
    let set = folder(&[("zz/label.lst", "a.jpg 0 1 2 3 4 5 6\n".into())]);
    for i in 0..300 {
        write(set.path(), &format!("image/origin/{i}.jpg"), b"");
        write(set.path(), &format!("{i}.jpg"), b"");
    }
    assert_eq!(format_of(set.path()), "expw");
}
